"""All that a plugin author imports."""

from . import crash, messages, wire
from .clock import Clock
from .dataset import Contributor, Dataset
from .deployed import Deployed, Deployment, Effort, Gap
from .errors import (
    ConfigError,
    DecodeError,
    DeviceBusy,
    DeviceLost,
    FatalError,
    FrameError,
    ModelError,
    NoticeRefused,
    NotifyError,
    RefusedError,
    RetryableError,
    SpoolFull,
    StageError,
    StoreBusy,
)
from .fieldwork.sequences import Shot, follows, sequences, shot_of
from .foreign import foreign
from .hookspecs import (
    ChecksOnline,
    DecoderSpec,
    Exporter,
    ExporterSpec,
    ExportOption,
    Hears,
    Identity,
    Login,
    LoginSpec,
    Notifier,
    NotifierSpec,
    Observes,
    SourceSpec,
    Stage,
    StageSpec,
    TracksReceipts,
    hookimpl,
)
from .i18n import _, mark, translate
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
from .link import Broker, Link, LinkLost, Message, Will
from .model import (
    F32,
    I64,
    SEVERITIES,
    U8,
    AgentFacts,
    Alert,
    Answer,
    Beside,
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
    Observed,
    Outcome,
    Picture,
    PictureResult,
    Review,
    Severity,
    SpooledFrame,
    Taxon,
)
from .models.taxa import all_taxa, describe_lineage
from .models.taxonomy import Taxonomy, load_taxonomy
from .notices import TEMPLATE_FIELDS, Notice, NoticeKind, PictureLimits, Receipt, Reply, Wording
from .paths import is_safe_name, open_atomically, sync_dir, write_atomically
from .placement import Placement
from .redaction import SecretText
from .secret import Secret
from .services import (
    Clip,
    Encountered,
    ExportContext,
    ImportedEvent,
    Incoming,
    Media,
    MotionRule,
    Period,
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
from .species.calibration import Calibration, read_calibration
from .species.ensemble import Rules as AnswerRules
from .species.ensemble import decide, sum_up
from .species.fence import Fence
from .species.lists import look_at_list as look_at_species_list
from .species.lists import read_species_list
from .sunlight import SunPhase, light_at
from .tls import Tls
from .uploads import UploadBook, UploadedFile
from .wording import check_template, fill_template, one_line, percent, word_alert

__all__ = [
    "F32", "I64", "SEVERITIES", "TEMPLATE_FIELDS", "U8", "AgentFacts", "Alert", "Answer", "AnswerRules", "Beside",
    "Box", "Boxes", "Broker", "Calibration", "CaptureTime", "Card", "Category", "ChecksOnline", "Classification",
    "Clip", "Clock", "ConfigError", "Contributor", "Dataset", "DecodeError", "DecoderSpec", "Deployed", "Deployment",
    "Detection", "DeviceBusy", "DeviceLost", "Effort", "Encountered", "Event", "ExportContext", "ExportOption",
    "Exporter", "ExporterSpec", "FatalError", "Fence", "Frame", "FrameError", "Gap", "Hears", "Identity",
    "ImportedEvent", "Incoming", "Kind", "Link", "LinkLost", "Login", "LoginSpec",
    "Media", "Message", "ModelError", "MotionRule", "Notice", "NoticeKind",
    "NoticeRefused", "Notifier", "NotifierSpec", "NotifyError", "Observed", "Observes", "OpenModel", "Outcome",
    "Period", "Picture", "PictureLimits", "PictureResult", "Placement", "Receipt", "Received", "RefusedError", "Reply",
    "RetryableError", "Review", "Roster", "Said", "Scene", "Secret", "SecretText", "Seen", "Services", "Session",
    "Severity", "Shot", "Sink", "Source", "SourceSpec", "SpoolFull", "SpooledFrame", "Stage", "StageError", "StageSpec",
    "Station", "StoreBusy", "SunPhase", "Taxon", "Taxonomy", "Tls", "TracksReceipts", "UploadBook", "UploadedFile",
    "VisionCompute", "Will", "Wording", "_", "all_taxa", "boxes_above", "boxes_from_rows", "check_head",
    "check_numbers", "check_template", "crash", "decide", "describe_lineage", "fill_template", "first_of_rank",
    "follows", "foreign", "hookimpl", "is_safe_name", "letterbox", "light_at", "load_taxonomy", "look_at_species_list",
    "mark", "messages", "nms", "nms_by_class", "one_line", "open_atomically", "open_model", "percent",
    "read_calibration", "read_species_list", "sequences", "shot_of", "softmax", "square_crop", "sum_up", "sync_dir",
    "to_batch", "translate", "wire", "word_alert", "write_atomically",
]  # fmt: skip
