//! A step of stochastic gradient descent.

use super::{arch, parallel};

/// The numbers that a thread works on at a time.
const PART: usize = 1 << 14;

/// The settings of a step, as of PyTorch's `SGD` without dampening.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdStep {
    /// The learning rate.
    pub rate: f32,
    /// The share of the velocity that is kept.
    pub momentum: f32,
    /// Whether the momentum is that of Nesterov.
    pub nesterov: bool,
    /// The share of a parameter that is added to its gradient.
    pub weight_decay: f32,
}

impl SgdStep {
    /// Updates parameters and their velocity by their gradient. The first velocity is the gradient:
    /// without one, `gradient` becomes it.
    ///
    /// # Panics
    ///
    /// Where the lengths differ.
    pub fn apply(
        &self,
        parameters: &mut [f32],
        gradient: Vec<f32>,
        velocity: Option<Vec<f32>>,
    ) -> Vec<f32> {
        let (mut velocity, gradient) = match velocity {
            Some(velocity) => (velocity, Some(gradient)),
            None => (gradient, None),
        };
        assert_eq!(parameters.len(), velocity.len());
        if let Some(gradient) = &gradient {
            assert_eq!(parameters.len(), gradient.len());
        }
        let arch = arch();
        let numbers = parameters.len();
        let parts = parameters
            .chunks_mut(PART)
            .zip(velocity.chunks_mut(PART))
            .enumerate();
        parallel::each(numbers, parts, |(part, (parameters, velocity))| {
            let gradient = gradient.as_ref().map(|gradient| {
                let start = part * PART;
                &gradient[start..start + parameters.len()]
            });
            arch.dispatch(|| match gradient {
                Some(gradient) => self.update(parameters, gradient, velocity),
                None => self.start(parameters, velocity),
            });
        });
        if let Some(gradient) = gradient {
            super::give_back(gradient);
        }
        velocity
    }

    /// A step of numbers that have a velocity. The order of the operations is that of Burn.
    #[inline(always)]
    fn update(&self, parameters: &mut [f32], gradient: &[f32], velocity: &mut [f32]) {
        for ((p, g), v) in parameters.iter_mut().zip(gradient).zip(velocity) {
            let g = *p * self.weight_decay + g;
            *v = g + *v * self.momentum;
            *p -= self.direction(g, *v) * self.rate;
        }
    }

    /// The first step, in which the velocity is the gradient.
    #[inline(always)]
    fn start(&self, parameters: &mut [f32], velocity: &mut [f32]) {
        for (p, v) in parameters.iter_mut().zip(velocity) {
            *v += *p * self.weight_decay;
            *p -= self.direction(*v, *v) * self.rate;
        }
    }

    #[inline(always)]
    fn direction(&self, gradient: f32, velocity: f32) -> f32 {
        if self.nesterov {
            velocity * self.momentum + gradient
        } else {
            velocity
        }
    }
}
