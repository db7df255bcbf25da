//! What is checked before the data are read.

use cutmix_vision::{ModelConfig, View};

use super::{Settings, check_together};
use crate::error::Error;
use crate::metrics::MetricName;
use crate::precision::Precision;

impl Settings {
    /// Checks what does not need the data, so that a mistake shows before they are read.
    pub fn check(&self) -> Result<(), Error> {
        if self.limit == Some(0) {
            return Err(Error::option("limit", 0, "at least 1 image"));
        }
        ModelConfig::new(self.model.as_deref().unwrap_or("resnet8"), 2)
            .with_stochastic_depth(self.stochastic_depth)
            .with_blur_pool(self.blur_pool)
            .check()?;
        if self.batch_size == 0 {
            return Err(Error::option("batch-size", 0, "at least 1 image"));
        }
        if self.keep == 0 {
            return Err(Error::option("keep", 0, "at least 1 checkpoint"));
        }
        if let Some(decay) = self.weight_decay
            && !(decay.is_finite() && decay >= 0.0)
        {
            return Err(Error::option(
                "weight-decay",
                decay,
                "a number of at least 0",
            ));
        }
        self.trainer(self.learning_rate.unwrap_or(1.0)).check()?;
        if self.save_interval.is_zero() {
            return Err(Error::option(
                "save-interval",
                self.save_interval,
                "a duration above 0",
            ));
        }
        if !self.batch_size.is_multiple_of(self.accumulate) {
            let expected = format!("a divisor of the batch size, {}", self.batch_size);
            return Err(Error::option("accumulate", self.accumulate, expected));
        }
        self.data_config()
            .with_val_fraction(Some(self.val_fraction))
            .with_crop_share(self.crop_share.unwrap_or(1.0))
            .check()?;
        if let Some(size) = self.eval_size {
            View::new([3, size, size])
                .check()
                .map_err(|_| Error::option("eval-size", size, "1 to 4096 pixels"))?;
        }
        check_together(&self.algorithm)?;
        self.layer_rates().check()?;
        self.check_head()?;
        if self.precision != Precision::F32 && self.effects().keeps_ema {
            let expected = "f32 with the algorithm ema: in other types a moving average soon stops \
                            changing";
            return Err(Error::option("precision", self.precision, expected));
        }
        self.check_scores()
    }

    /// Checks the metrics, and the score of `--best`.
    fn check_scores(&self) -> Result<(), Error> {
        let counts = |metric: &&MetricName| metric.counts_on_device();
        if self.precision != Precision::F32
            && let Some(metric) = self.metric.iter().find(counts)
        {
            let expected = format!("f32 with the metric {metric}, which counts in this type");
            return Err(Error::option("precision", self.precision, expected));
        }
        let Some(best) = &self.best else {
            return Ok(());
        };
        let metrics = self.metric.iter().map(|metric| format!("val/{metric}"));
        let usual = ["val/accuracy", "val/loss", "train/accuracy", "train/loss"];
        let known: Vec<_> = usual.map(String::from).into_iter().chain(metrics).collect();
        if known.contains(best) {
            return Ok(());
        }
        Err(Error::unknown(
            "score for --best",
            best,
            known.iter().map(String::as_str),
        ))
    }
}
