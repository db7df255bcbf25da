//! Gradients of what a network says of its input.

use burn::module::Module;

/// The network as it evaluates, on its device with autodiff: gradients flow through it to its input, and to
/// none of its parameters. As by [`valid`](Module::valid), batch normalisation uses and keeps its running
/// statistics, and nothing is dropped.
///
/// On GPUs, Burn 0.22.1 misreads the output of a convolution to one channel, such as the gradient of grey
/// images, in the elementwise operation that follows it. Read that gradient with `into_data`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use cutmix_vision::ModelConfig;
/// use cutmix_vision::models::differentiable;
///
/// let device = Device::default();
/// let model = differentiable(&ModelConfig::new("resnet8", 10).init(&device)?);
/// let images = Tensor::<4>::ones([2, 3, 32, 32], &device.autodiff()).require_grad();
/// let gradients = model.forward(images.clone()).sum().backward();
/// let gradient = images.grad(&gradients).expect("the logits depend on the images");
/// assert_eq!(gradient.dims(), [2, 3, 32, 32]);
/// # Ok::<(), cutmix_vision::ModelError>(())
/// ```
pub fn differentiable<M: Module>(model: &M) -> M {
    // Where gradients are tracked, only the flags that `freeze` switches off keep layers from training.
    model.valid().train().freeze()
}
