//! House rules that a machine can check: layers, who may name which crate, sizes, places of files.

#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/samples.rs"]
mod samples;
#[path = "tidy/text.rs"]
mod text;
#[path = "tidy/tree.rs"]
mod tree;

use std::fmt::Write as _;

use rules::{
    architecture_names_every_module, assets_have_an_origin, dependencies_say_what_for,
    documents_keep_up, every_file_is_a_module, exceptions_are_needed, files_are_short,
    files_say_what_they_are_for, layers_point_downwards, links_lead_somewhere,
    modules_are_not_left_by_super, nothing_foreign_is_committed, private_paths_are_not_named,
    scripts_can_be_run, targets_are_listed_and_exist, tests_wait_for_events, words_stay_at_home,
};
use tree::{Rule, repository};

const RULES: &[(&str, Rule)] = &[
    ("layers point downwards", layers_point_downwards),
    (
        "modules are not left by super",
        modules_are_not_left_by_super,
    ),
    ("words stay at home", words_stay_at_home),
    ("exceptions are needed", exceptions_are_needed),
    ("files say what they are for", files_say_what_they_are_for),
    ("files are short", files_are_short),
    (
        "ARCHITECTURE.md names every module",
        architecture_names_every_module,
    ),
    ("documents keep up", documents_keep_up),
    ("links lead somewhere", links_lead_somewhere),
    ("every file is a module", every_file_is_a_module),
    ("assets have an origin", assets_have_an_origin),
    ("nothing foreign is committed", nothing_foreign_is_committed),
    ("tests wait for events", tests_wait_for_events),
    ("scripts can be run", scripts_can_be_run),
    ("targets are listed and exist", targets_are_listed_and_exist),
    ("dependencies say what for", dependencies_say_what_for),
    ("private paths are not named", private_paths_are_not_named),
];

#[test]
fn the_house_is_tidy() {
    let tree = repository();
    assert!(
        tree.iter().any(|file| file.path == "src/lib.rs"),
        "git names no source file"
    );
    let mut report = String::new();
    for (name, rule) in RULES {
        for finding in rule(&tree) {
            writeln!(report, "{finding}    [{name}]").expect("writing to a string");
        }
    }
    assert!(report.is_empty(), "\n{report}");
}
