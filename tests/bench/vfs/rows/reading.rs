//! Lines of a large file, and one line changed in a small one.

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use crate::{
    Outcome,
    cleanup::Place,
    http::Client,
    options::Options,
    ours::{Ours, query, text},
    process::{program, timed},
    stats::{Contender, alternate},
    table::{Figure, Report, Row},
    trees,
};

/// Lines of a page.
const PAGE: u64 = 100;

/// The last page of a file of 1 GiB: with a scan before it, and after one.
pub(super) fn lines(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let bytes = 1 << if options.quick { 27 } else { 30 };
    let path = place.folder("lines-")?.join("text");
    let count = trees::text(&path, bytes)?;
    let ours = Ours::start(place)?;
    let (mut one, mut two) = (ours.client()?, ours.client()?);
    // The text ends in a line feed, after which one more, empty, line is counted.
    let first = count + 2 - PAGE;
    let page = format!(
        "/api/v0/read-file-lines?path={}&offset={first}&limit={PAGE}&max_file_size={}",
        query(&path),
        2_u64 << 30
    );
    let file = File::options().write(true).open(&path)?;
    let mut state = 0;
    let mut contenders = vec![
        Contender::new(|| {
            state += 1;
            // Another version of the file, so that nothing that is known of it holds.
            file.set_modified(SystemTime::now() - Duration::from_secs(3600 + state))?;
            last_page(&mut one, &page, count)
        }),
        Contender::new(|| timed(program(place, "wc").arg("-l").arg(&path))),
        Contender::new(|| last_page(&mut two, &page, count)),
        Contender::new(|| {
            let mut tail = program(place, "tail");
            timed(tail.args(["-n", "100"]).arg(&path))
        }),
    ];
    alternate(1, options.samples(30), &mut contenders)?;
    let figure = |at: usize| Figure::time(&contenders[at].samples);
    let size = if options.quick { "128 MiB" } else { "1 GiB" };
    report.add(
        Row::new(&format!("last page of {size}, first scan"), figure(0)).peer(
            "wc -l",
            figure(1),
            Some(0.67),
        ),
    );
    report.add(Row::new("the same page again", figure(2)).under(50.0).peer(
        "tail -n",
        figure(3),
        None,
    ));
    Ok(())
}

fn last_page(client: &mut Client, page: &str, lines: u64) -> Outcome<Duration> {
    let request = client.get(page);
    let answer = client.expect(&request, 200)?;
    let body: Value = serde_json::from_slice(answer.body)?;
    if body["total_lines"] != lines + 1 || body["lines_read"] != PAGE {
        return Err(format!("not the last page: {body:.400}").into());
    }
    Ok(answer.taken)
}

/// One line of 1 MiB.
const LINE: &str = "return compute(alpha, beta, gamma); // unlike any other line";

/// A file of 1 MiB with the line in its middle, behind this indentation.
fn file_with_line(path: &Path, indentation: &str) -> Outcome<()> {
    use std::fmt::Write as _;
    let mut text = String::new();
    let mut number = 0;
    let mut due = true;
    while text.len() < 1 << 20 {
        if due && text.len() > 1 << 19 {
            text.push_str(indentation);
            text.push_str(LINE);
            text.push('\n');
            due = false;
        }
        number += 1;
        text.push_str(indentation);
        writeln!(text, "let value_{number} = something({number});")?;
    }
    fs::write(path, text)?;
    Ok(())
}

/// One line changed, found byte by byte, and found without its indentation.
pub(super) fn edit(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let folder = place.folder("edit-")?;
    let (exact, tolerant, other) = (
        folder.join("exact"),
        folder.join("tolerant"),
        folder.join("other"),
    );
    file_with_line(&exact, "\t")?;
    file_with_line(&tolerant, "\t\t")?;
    file_with_line(&other, "\t")?;
    let ours = Ours::start(place)?;
    let (mut one, mut two) = (ours.client()?, ours.client()?);
    let (mut first, mut third, mut sed) = (0_u64, 0_u64, 0_u64);
    let mut contenders = vec![
        Contender::new(|| {
            first += 1;
            change(&mut one, &exact, "\t", first, 1)
        }),
        Contender::new(|| {
            third += 1;
            change(&mut two, &tolerant, "    ", third, 3)
        }),
        Contender::new(|| {
            sed += 1;
            let script = format!("s|^\t{}$|\t{}|", state(sed - 1), state(sed));
            timed(program(place, "sed").args(["-i", &script]).arg(&other))
        }),
    ];
    alternate(3, options.samples(200), &mut contenders)?;
    let figure = |at: usize| Figure::time(&contenders[at].samples);
    let rows = [
        ("one line of 1 MiB edited, pass 1", 0, 5.0),
        ("the same, pass 3", 1, 15.0),
    ];
    for (what, at, limit) in rows {
        report.add(
            Row::new(what, figure(at))
                .under(limit)
                .peer("sed -i", figure(2), None),
        );
    }
    drop(contenders);
    let last = fs::read_to_string(&other)?;
    if !last.contains(&state(sed)) {
        return Err("sed has not changed the line".into());
    }
    Ok(())
}

/// The line after so many edits.
fn state(edits: u64) -> String {
    if edits == 0 {
        LINE.to_owned()
    } else {
        format!("{LINE} {edits}")
    }
}

fn change(
    client: &mut Client,
    path: &Path,
    indentation: &str,
    edits: u64,
    pass: u64,
) -> Outcome<Duration> {
    let line = |edits| format!("{indentation}{}\n", state(edits));
    let body = json!({
        "files": [{"path": text(path)?, "edits": [{"old_text": line(edits - 1), "new_text": line(edits)}]}],
        "include_results": true,
    });
    let request = client.post("/api/v0/edit-files", &body.to_string());
    let answer = client.expect(&request, 200)?;
    let said: Value = serde_json::from_slice(answer.body)?;
    if !said.to_string().contains(&format!("\"pass\":{pass}")) {
        return Err(format!("not by pass {pass}: {said:.400}").into());
    }
    Ok(answer.taken)
}
