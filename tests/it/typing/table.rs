//! `scripts/bench typing`: how often each text arrives exactly in each program with each layout, and how fast.

use std::time::{Duration, Instant};

use deskd::desktop::input::Input;

use super::{
    exact::{LAYOUTS, LINE, difference, mixed, read_back, set_layout},
    input,
    programs::{Kind, Program, Stage},
    typed,
};

/// Runs of the line, and of the long text.
#[derive(Default)]
struct Cell {
    runs: usize,
    exact: usize,
    spent: Duration,
    by_layout: usize,
    beyond: usize,
}

impl Cell {
    async fn run(&mut self, input: &Input, program: &Program, text: &str) {
        let begin = Instant::now();
        let report = typed(input, text).await;
        self.spent += begin.elapsed();
        self.runs += 1;
        self.by_layout += report.by_layout;
        self.beyond += report.by_temporary;
        let got = read_back(input, program, text).await;
        if got == text {
            self.exact += 1;
        } else {
            eprintln!("run {}: {}", self.runs, difference(text, &got));
        }
    }

    fn print(&self, columns: &str) {
        let spent = self.spent.as_secs_f64() * 1e3;
        #[expect(clippy::cast_precision_loss, reason = "counts of characters")]
        let (runs, all, beyond) = (
            self.runs as f64,
            (self.by_layout + self.beyond) as f64,
            self.beyond as f64,
        );
        println!(
            "| {columns} | {} of {} | {:.2} | {:.3} | {} |",
            self.exact,
            self.runs,
            spent / runs,
            spent / all,
            if self.beyond * 10 < self.by_layout {
                "–".to_owned()
            } else {
                format!("{:.3}", spent / beyond)
            },
        );
    }
}

/// The whole of the printable ASCII, twice and a bit: what most layouts have.
fn ascii() -> String {
    (' '..='~').cycle().take(200).collect()
}

/// Prints the rows of one program with one layout, and gives the number of texts that did not arrive exactly.
async fn measure(kind: Kind, layout: (&str, &str), runs: usize) -> usize {
    let mut wrong = 0;
    let stage = Stage::start();
    set_layout(&stage.server, layout);
    let program = Program::start(&stage.server, kind);
    let input = input(&stage.server, Duration::from_mins(1));
    // A browser that has just started loses keys now and then, whoever presses them.
    for _ in 0..3 {
        typed(&input, "warm").await;
        read_back(&input, &program, "warm").await;
    }
    let name = match layout {
        (layout, "") => layout.to_owned(),
        (layout, variant) => format!("{layout}({variant})"),
    };
    for (what, text, runs) in [
        ("200 ASCII", ascii(), runs),
        ("test line", LINE.to_owned(), runs),
        ("5 000 mixed", mixed(), runs.div_ceil(25)),
    ] {
        let mut cell = Cell::default();
        for run in 0..runs {
            // A quarter of the runs each with nothing, one and both locks.
            let locks = ["", "Caps_Lock", "Num_Lock", "Caps_Lock Num_Lock"][run % 4];
            super::exact::press(&input, locks).await;
            cell.run(&input, &program, &text).await;
            super::exact::press(&input, locks).await;
        }
        cell.print(&format!("{} | {name} | {what}", kind.name()));
        wrong += cell.runs - cell.exact;
    }
    wrong
}

/// All texts with all layouts, once in a terminal; `scripts/bench typing` has it run in every program, a hundred times.
#[tokio::test(flavor = "multi_thread")]
async fn table() {
    #[expect(clippy::disallowed_methods, reason = "what scripts/bench was told")]
    let setting = |name| std::env::var(name).ok();
    let runs = setting("DESKD_TYPING_RUNS");
    let runs = runs.map_or(1, |runs| runs.parse().expect("a number of runs"));
    let only = setting("DESKD_TYPING_ONLY").unwrap_or_else(|| "xterm".to_owned());
    println!(
        "| program | layout | text | exact | ms a text | ms a character | ms a character beyond the layout |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut wrong = 0;
    let wanted = |kind: &Kind| kind.name().starts_with(&only);
    for kind in Kind::ALL.into_iter().filter(wanted) {
        for layout in LAYOUTS {
            wrong += measure(kind, layout, runs).await;
        }
    }
    assert_eq!(wrong, 0, "texts that did not arrive exactly");
}
