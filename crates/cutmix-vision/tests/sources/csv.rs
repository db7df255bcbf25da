//! CSV files.

use std::fs;
use std::path::Path;

use cutmix_vision::data::sources::csv;
use cutmix_vision::data::{DataConfig, DataError, Label, Splits, open};
use tempfile::{TempDir, tempdir};

use super::{assert_says, classes, color, names, save, several};

/// A folder with a table `labels.csv` and the images `a.png`, `b.png` and `c.png`, whose red values
/// are 10, 20 and 30.
fn table(text: &str) -> TempDir {
    let dir = tempdir().unwrap();
    for (name, red) in [("a", 10), ("b", 20), ("c", 30)] {
        save(dir.path(), &format!("{name}.png"), [red, 0, 0]);
    }
    fs::write(dir.path().join("labels.csv"), text).unwrap();
    dir
}

fn read(dir: &Path) -> Result<Splits, DataError> {
    csv(dir.join("labels.csv"), &DataConfig::new())
}

/// The classes of the samples of a table of the images `a.png`, `b.png` and `c.png`.
#[track_caller]
fn assert_classes(text: &str, expected: [&str; 3]) {
    let dir = table(text);
    let set = read(dir.path()).unwrap().train;
    assert_eq!(classes(&set), expected, "{text}");
    assert_eq!(
        [0, 1, 2].map(|at| color(&set, at)[0]),
        [10, 20, 30],
        "{text}"
    );
}

#[test]
fn columns_are_found_by_their_usual_names() {
    for text in [
        "path,label\na.png,x\nb.png,y\nc.png,x\n",
        "label,filename\nx,a.png\ny,b.png\nx,c.png\n",
        "id,width,breed\na,3,x\nb,3,y\nc,3,x\n",
        ",Image Index,age,Target\n0,a.png,7,x\n1,b.png,8,y\n2,c.png,9,x\n",
        "class_id,Class Name,File Path\n0,x,a.png\n1,y,b.png\n0,x,c.png\n",
        "picture_of,kind\na.png,x\nb.png,y\nc.png,x\n",
        "photo,has_cat\na.png,x\nb.png,y\nc.png,x\n",
    ] {
        assert_classes(text, ["x", "y", "x"]);
    }
}

#[test]
fn a_first_row_that_names_an_image_is_no_header() {
    assert_classes("a.png,x\nb.png,y\nc.png,x\n", ["x", "y", "x"]);
    assert_classes("x,a.png\ny,b.png\nx,c.png\n", ["x", "y", "x"]);
    let dir = table("gone.png,x\na.png,y\n");
    assert_says(read(dir.path()), &["`gone.png` in line 1"]);
}

#[test]
fn separators_quotes_and_ends_of_lines_may_vary() {
    for text in [
        "path\tlabel\na.png\tx, y\nb.png\tz\nc.png\tz\n",
        "path;label\na.png;x, y\nb.png;z\nc.png;z\n",
        "\u{feff}path,label\r\na.png,\"x, y\"\r\n\r\nb.png,z\r\n  c.png , z \r\n,\r\n",
        "\"path\",\"label\"\n\"a.png\",\"x, y\"\n.\\b.png,z\n./c.png,z",
    ] {
        assert_classes(text, ["x, y", "z", "z"]);
    }
}

#[test]
fn classes_are_sorted_and_numbers_by_their_value() {
    let dir = table("path,label\na.png,10\nb.png,9\nc.png,100\n");
    let set = read(dir.path()).unwrap().train;
    assert_eq!(set.classes(), ["9", "10", "100"]);
    let dir = table("path,label\na.png,10\nb.png,9\nc.png,x\n");
    let set = read(dir.path()).unwrap().train;
    assert_eq!(set.classes(), ["10", "9", "x"]);
}

#[test]
fn known_classes_keep_their_order() {
    let dir = table("path,label\na.png,x\nb.png,x\nc.png,x\n");
    let known = |names: [&str; 2]| Some(names.map(String::from).to_vec());
    let config = DataConfig::new().with_classes(known(["y", "x"]));
    let set = csv(dir.path().join("labels.csv"), &config).unwrap().train;
    assert_eq!(set.classes(), ["y", "x"]);
    assert_eq!(set.class_counts(), [0, 3]);
    let config = DataConfig::new().with_classes(known(["y", "z"]));
    let result = csv(dir.path(), &config);
    assert!(matches!(result, Err(DataError::UnknownClass { class, .. }) if class == "x"));
    assert!(matches!(read(dir.path()), Err(DataError::OneClass { class, .. }) if class == "x"));
}

#[test]
fn a_list_of_one_label_each_is_of_several_classes_where_that_is_known() {
    let dir = table("path,label\na.png,x\nb.png,y\nc.png,\n");
    assert_says(read(dir.path()), &["empty in line 4"]);
    let config = DataConfig::new().with_multi_label(true);
    let set = csv(dir.path(), &config).unwrap().train;
    assert!(set.is_multi_label());
    let labels = [vec![0], vec![1], vec![]].map(Label::Classes);
    assert!(set.labels().eq(labels));
}

#[test]
fn a_column_of_sets_makes_the_sets() {
    let dir = table("path,label,Split\na.png,x,TRAIN\nb.png,y,train\nc.png,x,Valid\n");
    let splits = read(dir.path()).unwrap();
    assert_eq!(classes(&splits.train), ["x", "y"]);
    assert_eq!(names(&splits.val.unwrap()), ["c.png"]);
    assert!(splits.test.is_none());
    // A column that is about something else.
    let dir = table("path,label,dataset\na.png,x,camera\nb.png,y,phone\nc.png,x,phone\n");
    assert_eq!(read(dir.path()).unwrap().train.len(), 3);
    let dir = table("path,label,split\na.png,x,train\nb.png,y,train\nc.png,x,extra\n");
    assert_says(
        read(dir.path()),
        &["`extra` in line 4", "train, val or test"],
    );
    let dir = table("path,label,split\na.png,x,train\nb.png,y,train\nc.png,z,test\n");
    assert!(matches!(read(dir.path()), Err(DataError::UnknownClass { class, .. }) if class == "z"));
}

#[test]
fn tables_with_the_names_of_sets_are_the_sets() {
    let dir = tempdir().unwrap();
    for name in ["train/1.png", "train/2.png", "val/1.png", "test/9.png"] {
        save(dir.path(), name, [name.len() as u8, 0, 0]);
    }
    // The files of two folders have the same name: each set has its own.
    fs::write(dir.path().join("train.csv"), "id,label\n1,x\n2,y\n").unwrap();
    fs::write(dir.path().join("val_labels.csv"), "id,label\n1,y\n").unwrap();
    fs::write(dir.path().join("test.csv"), "id\n9\n").unwrap();
    fs::write(dir.path().join("sample_submission.csv"), "id,label\n9,x\n").unwrap();
    let splits = open(dir.path(), &DataConfig::new()).unwrap();
    assert_eq!(names(&splits.train), ["train/1.png", "train/2.png"]);
    assert_eq!(names(&splits.val.unwrap()), ["val/1.png"]);
    assert!(splits.test.is_none());
}

#[test]
fn labels_in_one_cell_are_separated() {
    let several_of = |text: &str| {
        let dir = table(text);
        let set = read(dir.path()).unwrap().train;
        assert!(set.is_multi_label());
        several(&set)
    };
    assert_eq!(
        several_of("path,label\na.png,x|y\nb.png,y\nc.png,\n"),
        ["x+y", "y", ""]
    );
    assert_eq!(
        several_of("path,label\na.png,y;x\nb.png,x\nc.png,z\n"),
        ["x+y", "x", "z"]
    );
    assert_eq!(
        several_of("path,labels\na.png,y x\nb.png,x\nc.png,y\n"),
        ["x+y", "x", "y"]
    );
    assert_eq!(
        several_of("path,tags\na.png,\"x, y\"\nb.png,x\nc.png,y\n"),
        ["x+y", "x", "y"]
    );
    assert_eq!(
        several_of("path,labels\na.png,x y\nb.png,y\nc.png,\n"),
        ["x+y", "y", ""]
    );
}

#[test]
fn names_of_classes_may_have_spaces() {
    assert_classes(
        "path,labels\na.png,air hockey\nb.png,rugby\nc.png,ice dance\n",
        ["air hockey", "rugby", "ice dance"],
    );
    assert_classes(
        "path,class\na.png,x y\nb.png,x\nc.png,y\n",
        ["x y", "x", "y"],
    );
}

#[test]
fn columns_of_flags_are_the_classes() {
    let dir = table("image_id,rust,healthy,scab\na,1,0,0\nb,0,1.0,0.0\nc,0,1,0\n");
    let set = read(dir.path()).unwrap().train;
    assert_eq!(set.classes(), ["healthy", "rust", "scab"]);
    assert!(!set.is_multi_label());
    assert_eq!(classes(&set), ["rust", "healthy", "healthy"]);

    let dir = table("image_id,rust,healthy,scab\na,1,0,1\nb,0,0,0\nc,0,1,0\n");
    let set = read(dir.path()).unwrap().train;
    assert!(set.is_multi_label());
    assert_eq!(several(&set), ["rust+scab", "", "healthy"]);

    let dir = table("image_id,rust,scab\na,1,0\nb,-1,0\n");
    assert_says(
        read(dir.path()),
        &["`-1` in line 3", "column `rust`", "expected 0 or 1"],
    );
}

#[test]
fn columns_of_corners_are_the_boxes() {
    let dir = table(
        "path,label,y0,x0,Y1,X1\na.png,x,1,0,3,4\nb.png,y,,,,\nc.png,x,2.0,3.0,90.0,4.0\na.png,x,1,0,3,4\n",
    );
    let set = read(dir.path()).unwrap().train;
    assert_eq!(classes(&set), ["x", "y", "x"]);
    // The images of 4 x 4 pixels are seen as 64 x 64.
    let boxes = [0, 1, 2].map(|at| {
        let region = set.object_box(at).unwrap();
        region.map(|region| region.to_string())
    });
    let [a, b, c] = boxes.each_ref().map(Option::as_deref);
    assert_eq!(a, Some("rows 16..48, columns 0..64"));
    assert_eq!(b, None);
    assert_eq!(c, Some("rows 32..64, columns 48..64"));

    let dir = table("path,rust,scab,x0,y0,x1,y1\na.png,1,0,0,1,1,2\nb.png,0,1,0,1,1,2\n");
    let set = read(dir.path()).unwrap().train;
    assert_eq!(set.classes(), ["rust", "scab"]);
    assert!(set.has_boxes());
    let dir = table("path,label\na.png,x\nb.png,y\n");
    assert!(!read(dir.path()).unwrap().train.has_boxes());
}

#[test]
fn wrong_boxes_are_errors_that_say_what_is_accepted() {
    let whole = "expected a whole number of pixels from 0, or all four columns empty";
    for (cells, parts) in [
        ("0,0,4,", ["box is empty in line 3, column `y1`", whole]),
        ("-1,0,4,4", ["box is `-1` in line 3, column `x0`", whole]),
        ("0,0.5,4,4", ["box is `0.5` in line 3, column `y0`", whole]),
        ("0,0,NaN,4", ["box is `NaN` in line 3, column `x1`", whole]),
        (
            "3,0,3,4",
            ["box is `3` in line 3, column `x1`", "expected above x0, 3"],
        ),
        (
            "0,7,4,5",
            ["box is `5` in line 3, column `y1`", "expected above y0, 7"],
        ),
    ] {
        let dir = table(&format!(
            "path,label,x0,y0,x1,y1\na.png,x,0,0,4,4\nb.png,y,{cells}\n"
        ));
        assert_says(read(dir.path()), &[&["labels.csv"], &parts[..]].concat());
    }
    let dir = table("path,label,x0,y0\na.png,x,0,0\nb.png,y,0,0\n");
    let parts = [
        "header is the columns `x0`, `y0` alone",
        "expected all of x0, y0, x1 and y1, or none of them",
    ];
    assert_says(read(dir.path()), &parts);
    // One of the names is that of something else.
    let dir = table("path,label,x0\na.png,x,0.5\nb.png,y,far\n");
    assert!(!read(dir.path()).unwrap().train.has_boxes());
    let dir = table("path,label,x0,y0,x1,y1\na.png,x,0,0,4,4\na.png,x,0,0,4,3\n");
    let parts = [
        "another label, box or set in line 3 than in line 2",
        "each image once",
    ];
    assert_says(read(dir.path()), &parts);
}

#[test]
fn images_are_found_by_their_name() {
    let dir = tempdir().unwrap();
    for name in [
        "train/x1.png",
        "train/x2.png",
        "test/x3.png",
        "more/deep/x4.v2.png",
    ] {
        save(dir.path(), name, [1, 2, 3]);
    }
    let text = "id,breed\nx1,p\nelsewhere/train/x2.png,q\ntest/x3,p\nx4.v2,q\n/a/b/test/x3.png,p\n";
    fs::write(dir.path().join("labels.csv"), text).unwrap();
    let set = open(dir.path(), &DataConfig::new()).unwrap().train;
    // The last row repeats the third.
    let expected = [
        "train/x1.png",
        "train/x2.png",
        "test/x3.png",
        "more/deep/x4.v2.png",
    ];
    assert_eq!(names(&set), expected);

    save(dir.path(), "more/x1.png", [1, 2, 3]);
    let set = open(dir.path(), &DataConfig::new()).unwrap().train;
    assert_eq!(
        names(&set),
        expected,
        "the one in a folder of the set is taken"
    );
    save(dir.path(), "other/x4.v2.png", [1, 2, 3]);
    let result = open(dir.path(), &DataConfig::new());
    assert_says(
        result,
        &["`x4.v2` in line 5, which may be", "more/deep", "other"],
    );
}

#[test]
fn images_may_be_outside_of_the_folder() {
    let dir = tempdir().unwrap();
    save(dir.path(), "images/1.png", [1, 0, 0]);
    save(dir.path(), "images/2.png", [2, 0, 0]);
    fs::create_dir(dir.path().join("tables")).unwrap();
    let absolute = dir.path().join("images/2.png");
    let text = format!("path,label\n../images/1.png,x\n{},y\n", absolute.display());
    fs::write(dir.path().join("tables/t.csv"), text).unwrap();
    let set = csv(dir.path().join("tables/t.csv"), &DataConfig::new())
        .unwrap()
        .train;
    assert_eq!([color(&set, 0)[0], color(&set, 1)[0]], [1, 2]);
    assert_eq!(set.name(0), "../images/1.png");
}

#[test]
fn class_folders_go_before_a_table_that_says_the_same() {
    let dir = tempdir().unwrap();
    for name in ["train/x/1.png", "train/y/2.png", "val/x/3.png"] {
        save(dir.path(), name, [1, 2, 3]);
    }
    let text = "filepaths,labels,data set\ntrain/x/1.png,x,train\ntrain/y/2.png,y,train\n";
    fs::write(dir.path().join("classes.csv"), text).unwrap();
    let splits = open(dir.path(), &DataConfig::new()).unwrap();
    assert_eq!((splits.train.len(), splits.val.unwrap().len()), (2, 1));

    // Folders that are no classes.
    let text = "image_id,dx\n1,nv\n2,mel\n3,nv\n";
    fs::write(dir.path().join("metadata.csv"), text).unwrap();
    fs::write(dir.path().join("notes.csv"), "who,what\nme,this\n").unwrap();
    let set = open(dir.path(), &DataConfig::new()).unwrap().train;
    assert_eq!(classes(&set), ["nv", "mel", "nv"]);
}

#[test]
fn several_tables_are_an_error_that_lists_them() {
    let dir = table("path,label\na.png,x\nb.png,y\n");
    fs::write(
        dir.path().join("more.csv"),
        "path,label\na.png,x\nb.png,y\n",
    )
    .unwrap();
    let result = open(dir.path(), &DataConfig::new());
    assert_says(
        result,
        &["labels.csv and more.csv", "give the path of the file"],
    );
}

#[test]
fn wrong_tables_are_errors_that_say_what_is_accepted() {
    for (text, parts) in [
        ("", ["table is empty", "a row for each image"].as_slice()),
        ("path,label\n", &["table is empty"]),
        (
            "path\na.png\n",
            &["the column `path` alone", "filename and class"],
        ),
        (
            "path,width,height\na.png,3,4\n",
            &["`path`, `width`, `height`", "path and label"],
        ),
        (
            "path,label\na.png,x\nb.png,y\nd.png,x\ne.png,x\n",
            &["`d.png` in line 4", "1 more"],
        ),
        (
            "path,label\na.png,x\nb.png,\nc.png,y\n",
            &["label is empty in line 3", "name of a class"],
        ),
        (
            "path,label\na.png,x\nb.png\n",
            &["columns is 1 in line 3", "expected 2"],
        ),
        (
            "path,label\na.png,x,1\nb.png,y,2\n",
            &["columns is 3 in line 2", "expected 2"],
        ),
        (
            "path,label\na.png,x\na.png,y\n",
            &["a.png with another label", "line 3 than in line 2"],
        ),
        (
            "path,labels\na.png,\nb.png,\n",
            &["label is empty in line 2"],
        ),
    ] {
        let dir = table(text);
        assert_says(read(dir.path()), &[&["labels.csv"], parts].concat());
    }
    let dir = table("");
    fs::write(
        dir.path().join("labels.csv"),
        b"path,label\na.png,caf\xe9\n",
    )
    .unwrap();
    assert_says(read(dir.path()), &["not UTF-8 in line 2", "expected UTF-8"]);
    assert!(matches!(
        csv(dir.path().join("no.csv"), &DataConfig::new()),
        Err(DataError::NotFound { .. })
    ));
}

#[test]
fn a_table_larger_than_the_memory_is_refused() {
    let dir = table("path,label\na.png,x\nb.png,y\n");
    let config = DataConfig::new();
    let decoding = config.decoding.clone().with_memory(10);
    let config = config.with_decoding(decoding);
    let result = csv(dir.path().join("labels.csv"), &config);
    assert!(matches!(
        result,
        Err(DataError::TooLarge { memory: 10, .. })
    ));
}
