"""What stands in the audit, in people's words; the record keeps the short names."""

from collections.abc import Mapping

from edge.i18n import mark

ACTIONS: Mapping[str, str] = {
    "people.seen": mark("looked at people"),
    "people.withhold": mark("an original with people was withheld"),
    "people.delete": mark("an original with people was deleted"),
    "people.release": mark("put a withheld original back"),
    "user.login": mark("logged in"),
    "user.logout": mark("ended log-ins"),
    "user.add": mark("made a user"),
    "user.invite": mark("invited somebody"),
    "user.uninvite": mark("withdrew an invitation"),
    "user.role": mark("changed role or stations"),
    "user.disable": mark("switched a user off"),
    "user.enable": mark("let a user in again"),
    "user.reset": mark("made a link for a new password"),
    "user.password": mark("set a new password"),
    "token.add": mark("made a key"),
    "token.revoke": mark("revoked a key"),
    "configuration": mark("changed the configuration"),
    "quarantine.retry": mark("had it looked at again"),
    "station.command": mark("sent a command to a station"),
    "deployment.add": mark("noted a deployment"),
    "deployment.change": mark("changed a deployment"),
    "deployment.remove": mark("took a deployment out"),
    "import.camtrap-dp": mark("took a Camtrap DP in"),
    "clock.correct": mark("put a clock right"),
    "clock.undo": mark("undid the correction of a clock"),
    "repeats.suppress": mark("left repeated detections out"),
    "repeats.keep": mark("kept repeated detections"),
    "repeats.undo": mark("took a decision on repeated detections back"),
    "export.make": mark("had an export made"),
    "export.download": mark("fetched an export"),
    "acknowledge": mark("sees to an encounter"),
    "mute": mark("muted messages"),
    "unmute": mark("ended a silence"),
    "send again": mark("had a message sent again"),
}
