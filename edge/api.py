"""All that a plugin author imports."""

from .clock import Clock
from .errors import (
    DecodeError,
    DeviceBusy,
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
from .i18n import translate
from .model import (
    F32,
    I64,
    U8,
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
from .services import Clip, Incoming, Media, Services, Session, Sink, Source, Station

__all__ = [
    "F32", "I64", "U8",
    "Alert", "Answer", "Box", "Boxes", "CaptureTime", "Card", "Category", "Classification", "Clip", "Clock",
    "DecodeError", "DecoderSpec", "Detection", "DeviceBusy", "Event", "Exporter", "ExporterSpec", "FatalError", "Frame",
    "FrameError", "Incoming", "Kind", "Media", "ModelError", "Notifier", "NotifierSpec", "NotifyError", "Outcome",
    "Picture", "PictureResult", "RefusedError", "RetryableError", "Services", "Session", "Sink", "Source", "SourceSpec",
    "SpoolFull", "SpooledFrame", "Stage", "StageError", "StageSpec", "Station", "StoreBusy", "Taxon",
    "hookimpl", "translate",
]  # fmt: skip
