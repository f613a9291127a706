"""What discovery messages come to, as rows."""

from devices.codecs.discovery import Imported
from devices.profile_files import described_as_text
from web.views.discovery import DiscoveryView, LeftRow, TakenRow
from web.views.frame import Form


def discovery(found: Imported, form: Form) -> DiscoveryView:
    return DiscoveryView(
        taken=[TakenRow(one.what, one.name, one.topic, one.path, one.scale) for one in found.taken],
        left_out=[LeftRow(one.name, one.why.value, one.detail) for one in found.left_out],
        written="\n".join(described_as_text(found.mapping)).strip(),
        form=form,
    )
