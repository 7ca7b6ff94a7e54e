"""All that a plugin author imports."""

from . import crash, messages, wire
from .clock import Clock
from .errors import (
    ConfigError,
    DecodeError,
    DeviceBusy,
    DeviceLost,
    FatalError,
    FrameError,
    ModelError,
    NotifyError,
    RefusedError,
    RetryableError,
    SpoolFull,
    StageError,
    StoreBusy,
)
from .foreign import foreign
from .hookspecs import (
    DecoderSpec,
    Exporter,
    ExporterSpec,
    Notifier,
    NotifierSpec,
    SourceSpec,
    Stage,
    StageSpec,
    hookimpl,
)
from .i18n import _, translate
from .inference.head import OpenModel, check_head, open_model
from .inference.postprocess import (
    boxes_above,
    boxes_from_rows,
    check_numbers,
    first_of_rank,
    nms,
    nms_by_class,
    softmax,
)
from .inference.preprocess import letterbox, square_crop, to_batch
from .link import Broker, Link, LinkLost, Message
from .model import (
    F32,
    I64,
    U8,
    AgentFacts,
    Alert,
    Answer,
    Box,
    Boxes,
    CaptureTime,
    Card,
    Category,
    Classification,
    Detection,
    Event,
    Frame,
    Kind,
    Outcome,
    Picture,
    PictureResult,
    SpooledFrame,
    Taxon,
)
from .models.taxa import describe_lineage
from .models.taxonomy import Taxonomy, load_taxonomy
from .paths import is_safe_name, open_atomically, sync_dir, write_atomically
from .placement import Placement
from .secret import Secret
from .services import (
    Clip,
    Incoming,
    Media,
    MotionRule,
    Received,
    Roster,
    Said,
    Scene,
    Seen,
    Services,
    Session,
    Sink,
    Source,
    Station,
    VisionCompute,
)
from .tls import Tls
from .wording import Wording, one_line, percent, word_alert

__all__ = [
    "F32", "I64", "U8", "AgentFacts", "Alert", "Answer", "Box", "Boxes", "Broker", "CaptureTime", "Card",
    "Category", "Classification", "Clip", "Clock", "ConfigError", "DecodeError", "DecoderSpec", "Detection",
    "DeviceBusy", "DeviceLost", "Event", "Exporter", "ExporterSpec", "FatalError", "Frame", "FrameError",
    "Incoming", "Kind", "Link", "LinkLost", "Media", "Message", "ModelError", "MotionRule", "Notifier",
    "NotifierSpec", "NotifyError", "OpenModel", "Outcome", "Picture", "PictureResult", "Placement", "Received",
    "RefusedError", "RetryableError", "Roster", "Said", "Scene", "Secret", "Seen", "Services", "Session", "Sink",
    "Source", "SourceSpec", "SpoolFull", "SpooledFrame", "Stage", "StageError", "StageSpec", "Station", "StoreBusy",
    "Taxon", "Taxonomy", "Tls", "VisionCompute", "Wording", "_", "boxes_above", "boxes_from_rows", "check_head",
    "check_numbers", "crash", "describe_lineage", "first_of_rank", "foreign", "hookimpl", "is_safe_name", "letterbox",
    "load_taxonomy", "messages", "nms", "nms_by_class", "one_line", "open_atomically", "open_model", "percent",
    "softmax", "square_crop", "sync_dir", "to_batch", "translate", "wire", "word_alert", "write_atomically",
]  # fmt: skip
