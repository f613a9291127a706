"""How a meter is told where to send, with its secret right after that was made."""

from dataclasses import dataclass, field

from web.qr import Code


@dataclass(frozen=True, slots=True)
class Setup:
    """How a meter is told where to send."""

    device_id: str
    name: str
    key: str
    login: str
    """Its user name and client id: the key, or its second name."""
    secret: str = field(repr=False)
    """Right after it was made and never again; empty later."""
    host: str
    port: int
    topic: str
    command: str = field(repr=False)
    """What is pasted into the plug's console or a shell, exactly; a word stands for a secret that is not known any more."""
    how: str
    """What the command is: the family, bridge, or try where the family has none; empty where a shell cannot speak for it."""
    trial: str = field(repr=False)
    """A first message from a shell, for whoever tries the way without the device; empty where the command is that."""
    code: Code | None
    """What is pasted into the device, else the broker's address with name and secret, as a QR code; None later."""
