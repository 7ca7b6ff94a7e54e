"""The error tree: the base class is the reaction.

EdgeError
├ FatalError      the process ends with one clear line
│   ConfigError · PluginLoadError · ModelError · NoDeviceError · UnsupportedOpError · KernelBuildError · SchemaError
├ FrameError      this frame goes to quarantine with the reason, the next one is taken
│   DecodeError · StageError · RefusedError · NoticeRefused (a message, in its stead)
└ RetryableError  back off and try again; the frame or alert stays where it is
    BrokerUnavailable · StoreBusy · SpoolFull · NotifyError · DeviceBusy · DeviceLost
"""

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h; the units say RestartPreventExitStatus=78


class EdgeError(Exception):
    """Base of all errors raised on purpose; its text is one line a person can act on."""


class FatalError(EdgeError):
    """The process can't go on; exits with `exit_code` and the error's text."""

    exit_code = 1


class ConfigError(FatalError):
    """The site's YAML is wrong; one line per fault: `file:line:col path: what is wrong, what would be right`."""

    exit_code = EXIT_CONFIG


class PluginLoadError(FatalError):
    """A plugin that the site names can't be imported, or two plugins claim one name."""

    exit_code = EXIT_CONFIG


class ModelError(FatalError):
    """A model is missing, its hash is wrong, or its head is not what its card says."""

    exit_code = EXIT_CONFIG


class NoDeviceError(FatalError):
    """The compute device that the site asks for is not there."""

    exit_code = EXIT_CONFIG


class UnsupportedOpError(FatalError):
    """The model has an operator that the chosen device can't run; another start changes nothing about that."""

    exit_code = EXIT_CONFIG


class KernelBuildError(FatalError):
    """The device's compiler refused a kernel; it would again."""

    exit_code = EXIT_CONFIG


class SchemaError(FatalError):
    """The database is of a version this program can't read."""


class FrameError(EdgeError):
    """Something is wrong with this one frame; it goes to quarantine."""


class DecodeError(FrameError):
    """The file is no picture or clip that can be read."""


class StageError(FrameError):
    """A stage failed on this frame."""


class RefusedError(FrameError):
    """A source handed over something that may not enter: wrong hash, forbidden name, unknown kind."""


class NoticeRefused(FrameError):
    """A channel will never take this message: a number that does not exist, a sender who may not write there."""


class RetryableError(EdgeError):
    """Not now; the same call may succeed later. again_in_s: what the other side asked us to wait, None if nothing."""

    def __init__(self, *args: object, again_in_s: float | None = None) -> None:
        super().__init__(*args)
        self.again_in_s = again_in_s


class BrokerUnavailable(RetryableError):
    """The MQTT broker can't be reached."""


class StoreBusy(RetryableError):
    """The database is locked or out of reach."""


class SpoolFull(RetryableError):
    """The spool's byte limit or the disk is reached; the sender keeps the frame."""


class NotifyError(RetryableError):
    """A channel could not deliver an alert this time."""


class DeviceBusy(RetryableError):
    """The compute device has no room for the job now."""


class DeviceLost(RetryableError):
    """The compute device no longer answers: its context is void, and all that lay in its memory is gone."""
