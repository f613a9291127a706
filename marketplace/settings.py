"""Settings from `PILOTBENCH_*` environment variables or a `.env` file; read once, handed on as a value."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting with its default. `pilotbench check` prints them, secrets masked."""

    model_config = SettingsConfigDict(env_prefix="PILOTBENCH_", env_file=".env", extra="ignore", frozen=True)

    database_url: str = Field("sqlite:///var/pilotbench.db", description="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME")
    data_dir: Path = Field(Path("var"), description="where keys and the archive are kept, and all that the demo has")
    base_url: str = Field("http://127.0.0.1:8000", description="the address people open, used in links and mails")
    mqtt_url: str = Field("", description="mqtt://ingest:PASSWORD@HOST:PORT of the broker; empty: no ingest")
    mqtt_public_host: str = Field("", description="the broker's host as devices reach it; empty: that of mqtt_url")
    mqtt_dir: Path | None = Field(None, description="folder with the private broker's password and ACL files, if we provision it")
    mqtt_tls_port: int = Field(
        0, ge=0, le=65535, description="where `pilotbench broker` speaks TLS, by name and secret; 0: nowhere"
    )
    mqtt_certificate_port: int = Field(
        0, ge=0, le=65535, description="where `pilotbench broker` speaks TLS, by certificate; 0: nowhere"
    )
    emqx_secret: SecretStr = Field(
        SecretStr(""), description="what EMQX sends as bearer when it asks whether a device may connect; empty: it gets no answer"
    )
    stripe_key: SecretStr = Field(SecretStr(""), description="sk_test_... or sk_live_...; empty: card payments are off")
    stripe_api_base: str = Field("", description="another address of Stripe's API, such as the stand-in's; empty: Stripe itself")
    stripe_webhook_secrets: SecretStr = Field(SecretStr(""), description="whsec_... secrets, separated by commas")
    test_payment_method: str = Field("", description="a card for held bookings made on pages; stand-in and test keys only")
    smtp_url: SecretStr = Field(SecretStr(""), description="smtp://USER:PASSWORD@HOST:PORT; empty: messages stay in the app")
    smtp_from: str = Field("Pilotbench <pilotbench@localhost>", description="the sender of mails")
    evidence_key: SecretStr = Field(
        SecretStr(""), description="64 hexadecimal digits, the Ed25519 seed that signs evidence; empty: one kept in data_dir"
    )
    raw_days: int = Field(
        90, ge=14, le=36500, description="days raw messages stay in the database before they move to the archive in data_dir"
    )
    secure_cookies: bool = Field(False, description="true behind HTTPS: cookies get the __Host- prefix and Secure")
    hold_minutes: int = Field(10, ge=1, le=60, description="minutes a slot is held while a card payment is being made")
    calendar_minutes: int = Field(15, ge=5, le=1440, description="minutes between two readings of a calendar kept elsewhere")
    private_calendars: bool = Field(False, description="true: such a calendar may also lie on this machine or its own network")
    workers: int = Field(1, ge=1, le=32, description="server processes of `pilotbench serve` (PostgreSQL for more than one)")

    @property
    def mqtt_host(self) -> str:
        """The broker's host as devices reach it."""
        return self.mqtt_public_host or urlsplit(self.mqtt_url).hostname or "127.0.0.1"

    @property
    def emqx_asks(self) -> bool:
        """Whether each login is asked for, so that two secrets of a device can count at once."""
        return bool(self.emqx_secret.get_secret_value())

    @property
    def mqtt_account(self) -> tuple[str, str]:
        """Name and password that ingest logs in with."""
        found = urlsplit(self.mqtt_url)
        return unquote(found.username or "ingest"), unquote(found.password or "")

    @property
    def mqtt_port(self) -> int:
        return urlsplit(self.mqtt_url).port or 1883
