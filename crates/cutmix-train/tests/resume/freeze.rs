//! A run with a part that is frozen for some batches.

use cutmix_train::algorithms::{Freeze, Sam, When};

use super::*;

#[test]
fn a_run_that_was_killed_while_a_part_was_frozen_ends_like_one_that_was_not() {
    let _alone = alone();
    let frozen = |folder: &Path, from: &str, until: &str| {
        let freeze = When::new(Freeze::new(["norm", "dropout"]))
            .with_from(duration(from))
            .with_until(duration(until));
        run(folder).algorithm(freeze).algorithm(Sam::new(0.1))
    };
    for (from, until) in [("0ba", "4ba"), ("2ba", "5ba"), ("3ba", "8ba")] {
        let whole = tempfile::tempdir().unwrap();
        let expected = outcome(&frozen(whole.path(), from, until).fit().unwrap());
        for batch in 1..8 {
            let folder = tempfile::tempdir().unwrap();
            let killed = frozen(folder.path(), from, until);
            let killed = killed.callback(kill_at(Event::AfterBackward, batch));
            killed.fit().unwrap_err();
            let fit = frozen(folder.path(), from, until)
                .resume(latest(folder.path()))
                .fit()
                .unwrap();
            assert_eq!(outcome(&fit), expected, "{from} to {until}, at {batch}");
        }
    }
}
