"""The settings of the functions that start, describe or reconcile stage runs."""

from __future__ import annotations

from contract.options import Quality
from contract.stages import Stage
from domain.sagemaker_requests import Platform
from domain.settings import Settings


class MachineSettings(Settings):
    """The instance types of each stage, as lists in the order of the qualities. A `+` joins those that are tried in
    turn."""

    sfm_instance_types: str
    training_instance_types: str
    compressor_instance_types: str

    @property
    def instance_types(self) -> dict[Stage, dict[Quality, tuple[str, ...]]]:
        """Raises ValueError when a list has not one entry for each quality."""
        return {
            Stage.SFM: _by_quality(self.sfm_instance_types),
            Stage.TRAINING: _by_quality(self.training_instance_types),
            Stage.COMPRESSOR: _by_quality(self.compressor_instance_types),
        }

    @property
    def usual_types(self) -> dict[Stage, dict[Quality, str]]:
        """The instance type that each stage is tried on first."""
        return {
            stage: {quality: types[0] for quality, types in by_quality.items()}
            for stage, by_quality in self.instance_types.items()
        }


class StageSettings(MachineSettings):
    stack: str
    sfm_image: str
    training_image: str
    compressor_image: str
    sagemaker_role_arn: str
    results_bucket: str
    status_bus: str
    spot_training: bool
    stage_subnets: str
    stage_security_groups: str
    stage_runs_table: str

    @property
    def platform(self) -> Platform:
        return Platform(
            stack=self.stack,
            images={
                Stage.SFM: self.sfm_image,
                Stage.TRAINING: self.training_image,
                Stage.COMPRESSOR: self.compressor_image,
            },
            instance_types=self.instance_types,
            role_arn=self.sagemaker_role_arn,
            results_bucket=self.results_bucket,
            status_bus=self.status_bus,
            spot_training=self.spot_training,
            subnets=_listed(self.stage_subnets),
            security_groups=_listed(self.stage_security_groups),
        )


def _by_quality(instance_types: str) -> dict[Quality, tuple[str, ...]]:
    chains = (tuple(chain.split("+")) for chain in _listed(instance_types))
    return dict(zip(Quality, chains, strict=True))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
