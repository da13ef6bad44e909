"""Whose reports they are: the company that runs the stack, from the template's parameters to the quality report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

BRANDING = (
    "branding"  # the compressor's input with the logo, and the folder of the results bucket that it is taken from
)
LOGO = "logo"  # the only file in that input, whatever it was called
MAX_LOGO_BYTES = 1_000_000
LOGO_UNUSED = "logoUnused"  # of products.json: why the report is without it
MAX_COMPANY = 200  # characters of the name, and of the address

_VARIABLES = {"name": "COMPANY_NAME", "address": "COMPANY_ADDRESS", "logo": "COMPANY_LOGO"}


@dataclass(frozen=True)
class Company:
    """The company's name and address, and what its logo's file is called; empty where there is none."""

    name: str = ""
    address: str = ""
    logo: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The container's environment variables (docs/contracts.md)."""
        return {_VARIABLES[name]: value for name, value in asdict(self).items() if value}

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Company:
        """From those variables."""
        return cls(**{name: environ.get(variable, "") for name, variable in _VARIABLES.items()})
