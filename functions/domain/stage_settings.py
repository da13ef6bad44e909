"""The settings of the functions that start, describe or reconcile stage runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from contract.options import Quality
from contract.stages import Stage
from domain.cost import Prices
from domain.sagemaker_requests import Platform
from domain.settings import ByStage, Settings


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _by_quality(instance_types: str) -> dict[Quality, tuple[str, ...]]:
    """Raises ValueError unless the list has one entry for each quality."""
    chains = (tuple(chain.split("+")) for chain in _listed(instance_types))
    return dict(zip(Quality, chains, strict=True))


class MachineSettings(Settings):
    """The instance types of each stage, as lists in the order of the qualities. A `+` joins those that are tried in
    turn."""

    instance_types: ByStage[Annotated[dict[Quality, tuple[str, ...]], BeforeValidator(_by_quality)]]

    @property
    def usual_types(self) -> dict[Stage, dict[Quality, str]]:
        """The instance type that each stage is tried on first."""
        return {
            stage: {quality: types[0] for quality, types in by_quality.items()}
            for stage, by_quality in self.instance_types.items()
        }


class PriceSettings(Settings):
    """`region_prices`: the prices of machines in the stack's region, in the form of the template's RegionPrices; may be
    empty."""

    stack_region: str
    region_prices: str

    @property
    def prices(self) -> Prices:
        return Prices.of(self.stack_region, self.region_prices)


class StageSettings(MachineSettings, PriceSettings):
    stack: str
    image: ByStage[str]
    sagemaker_role_arn: str
    results_bucket: str
    results_key_arn: str
    status_bus: str
    spot_training: bool
    stage_subnets: str
    stage_security_groups: str
    stage_runs_table: str

    @property
    def platform(self) -> Platform:
        return Platform(
            stack=self.stack,
            images=self.image,
            instance_types=self.instance_types,
            role_arn=self.sagemaker_role_arn,
            results_bucket=self.results_bucket,
            results_key_arn=self.results_key_arn,
            status_bus=self.status_bus,
            spot_training=self.spot_training,
            prices=self.prices,
            subnets=_listed(self.stage_subnets),
            security_groups=_listed(self.stage_security_groups),
        )
