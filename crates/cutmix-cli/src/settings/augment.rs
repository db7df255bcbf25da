//! The help of `--augment`.

use std::fmt::Write;

use cutmix_vision::data::augment::{AUGMENTATIONS, LISTS};

use super::algorithm::value_text;

/// The long help, from the registry.
pub fn help() -> String {
    let mut help = String::from(
        "Random changes to training images, in this order [default: standard for photographs, light \
         for small colour images, none for grey ones]\n\n\
         A list joins names by |, settings follow a colon: \
         `--augment 'random-resized-crop:scale=0.35..1|flip|trivial-augment'`. Lists with a name:\n\n",
    );
    for (name, list) in LISTS {
        let _ = writeln!(
            help,
            "{name}: {}",
            if list.is_empty() { "nothing" } else { list }
        );
    }
    for info in AUGMENTATIONS {
        let _ = writeln!(help, "\n{}: {}", info.name, info.summary);
        for setting in info.settings() {
            let default = setting.default.as_ref().map_or("off".into(), value_text);
            let (name, description) = (setting.name, setting.description);
            let _ = writeln!(help, "  {name}: {description} [default: {default}]");
        }
    }
    help
}
