"""The settings of the functions that start, look at or settle stage runs."""

from __future__ import annotations

from spaceport.settings import Settings
from spaceport.stages import Platform, Stage


class StageSettings(Settings):
    sfm_image: str
    training_image: str
    compressor_image: str
    sfm_instance_type: str
    training_instance_type: str
    compressor_instance_type: str
    sagemaker_role_arn: str
    results_bucket: str
    status_bus: str
    spot_training: bool
    stage_runs_table: str

    @property
    def platform(self) -> Platform:
        return Platform(
            images={
                Stage.SFM: self.sfm_image,
                Stage.TRAINING: self.training_image,
                Stage.COMPRESSOR: self.compressor_image,
            },
            instance_types={
                Stage.SFM: self.sfm_instance_type,
                Stage.TRAINING: self.training_instance_type,
                Stage.COMPRESSOR: self.compressor_instance_type,
            },
            role_arn=self.sagemaker_role_arn,
            results_bucket=self.results_bucket,
            status_bus=self.status_bus,
            spot_training=self.spot_training,
        )
