//! The model of the stand-ins: opens a terminal from the desktop's menu, has a command run in it, makes one mistake, and
//! finishes. It goes by what it sees, and looks again until it is there.

use image::RgbImage;

use super::{Act, Seen, Turn};

/// Size of the screen that the model is told.
pub const FRAME: (u32, u32) = (1280, 800);

/// What it types.
pub const COMMAND: &str = "echo $((6*7)) > answer";

/// What it says at the end.
pub const LAST_WORDS: &str = "The file answer holds 42.";

/// Where it asks for the menu: away from the middle, where the pointer is at first and windows appear.
const CORNER: (u32, u32) = (100, 100);

/// How often it looks for the same thing; then it gives up. A menu it asks for once more after every fifth look.
const LOOKS: u32 = 40;

/// What the model waits to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hope {
    Nothing,
    Desktop,
    Menu,
    Window,
    Clicked,
    Typed,
    Entered,
    Complaint,
    Gone,
}

/// Left, top, width, height.
type Area = (u32, u32, u32, u32);

/// A conversation as far as it has come.
#[derive(Debug)]
pub struct Player {
    hope: Hope,
    looks: u32,
    empty: RgbImage,
    before: RgbImage,
}

impl Player {
    /// At the beginning.
    pub fn new() -> Self {
        Self {
            hope: Hope::Nothing,
            looks: 0,
            empty: RgbImage::default(),
            before: RgbImage::default(),
        }
    }

    /// What the model says to what it sees.
    pub fn next(&mut self, seen: Seen) -> Result<Turn, String> {
        if let (Some(complaint), true) = (&seen.complaint, self.hope != Hope::Complaint) {
            return Err(format!("the model did nothing wrong: {complaint}"));
        }
        let Some(picture) = seen.picture else {
            return self.without_picture(seen.complaint);
        };
        match self.hope {
            Hope::Nothing => Err("nobody asked for a picture".to_owned()),
            Hope::Desktop => {
                self.empty = picture;
                Ok(self.go_on(Hope::Menu, "A desktop.", menu()))
            }
            Hope::Menu => Ok(self.look_for_menu(&picture)),
            Hope::Window | Hope::Clicked | Hope::Typed | Hope::Entered => {
                Ok(self.use_terminal(picture))
            }
            Hope::Complaint => self.without_picture(seen.complaint),
            Hope::Gone if area(&self.empty, &picture, (0, 0), 60).is_none() => Ok(Turn {
                words: LAST_WORDS.to_owned(),
                acts: Vec::new(),
            }),
            Hope::Gone => Ok(self.repeat(vec![Act::Wait])),
        }
        .and_then(|turn| self.within_patience(turn))
    }

    fn without_picture(&mut self, complaint: Option<String>) -> Result<Turn, String> {
        match (self.hope, complaint) {
            (Hope::Nothing, None) => {
                Ok(self.go_on(Hope::Desktop, "I look first.", vec![Act::Look]))
            }
            (Hope::Complaint, Some(text)) if text.contains("x from 0 to 1279") => {
                let acts = vec![Act::Type("exit"), Act::Return];
                Ok(self.go_on(Hope::Gone, "I meant to close the terminal.", acts))
            }
            (hope, complaint) => Err(format!(
                "hoping for {hope:?}, the model sees no picture: {complaint:?}"
            )),
        }
    }

    fn look_for_menu(&mut self, picture: &RgbImage) -> Turn {
        // Its first row of two is the terminal.
        match area(&self.empty, picture, CORNER, 25) {
            Some((left, top, width, height)) => {
                let acts = vec![Act::Click(left + width / 2, top + height / 4)];
                self.go_on(Hope::Window, "The menu.", acts)
            }
            None if self.looks % 5 == 4 => self.repeat(menu()),
            None => self.repeat(vec![Act::Wait]),
        }
    }

    fn use_terminal(&mut self, picture: RgbImage) -> Turn {
        let Some((left, top, width, height)) = area(&self.empty, &picture, (0, 0), 60) else {
            return self.repeat(vec![Act::Wait]);
        };
        let differs = || area(&self.before, &picture, (0, 0), 4).is_some();
        let (hope, words, acts) = match self.hope {
            Hope::Window if width > 200 && height > 100 => {
                let acts = vec![Act::Click(left + width / 2, top + height / 2)];
                (Hope::Clicked, "The terminal.", acts)
            }
            Hope::Clicked => (
                Hope::Typed,
                "It has the keyboard.",
                vec![Act::Type(COMMAND)],
            ),
            Hope::Typed if differs() => (Hope::Entered, "There it stands.", vec![Act::Return]),
            Hope::Entered if differs() => {
                let acts = vec![Act::Click(FRAME.0, 10)];
                (Hope::Complaint, "It ran. I close the window.", acts)
            }
            _ => return self.repeat(vec![Act::Wait]),
        };
        self.before = picture;
        self.go_on(hope, words, acts)
    }

    fn go_on(&mut self, hope: Hope, words: &str, acts: Vec<Act>) -> Turn {
        self.hope = hope;
        self.looks = 0;
        let words = words.to_owned();
        Turn { words, acts }
    }

    fn repeat(&mut self, acts: Vec<Act>) -> Turn {
        self.looks += 1;
        let words = String::new();
        Turn { words, acts }
    }

    fn within_patience(&self, turn: Turn) -> Result<Turn, String> {
        if self.looks < LOOKS {
            return Ok(turn);
        }
        Err(format!("{:?} is not to be seen", self.hope))
    }
}

fn menu() -> Vec<Act> {
    vec![Act::RightClick(CORNER.0, CORNER.1)]
}

/// Where two pictures differ, right of and below a point: the rows and columns in which at least so many pixels do. A
/// pointer that moved is smaller than a menu, and a menu than a window.
fn area(a: &RgbImage, b: &RgbImage, from: (u32, u32), least: u32) -> Option<Area> {
    let mut columns = vec![0; FRAME.0 as usize];
    let mut rows = vec![0; FRAME.1 as usize];
    for (x, y, pixel) in b.enumerate_pixels() {
        if x >= from.0 && y >= from.1 && a.get_pixel(x, y) != pixel {
            columns[x as usize] += 1;
            rows[y as usize] += 1;
        }
    }
    let (left, width) = span(&columns, least)?;
    let (top, height) = span(&rows, least)?;
    Some((left, top, width, height))
}

fn span(counts: &[u32], least: u32) -> Option<(u32, u32)> {
    let enough = |count: &u32| *count >= least;
    let first = u32::try_from(counts.iter().position(enough)?).expect("within the frame");
    let last = u32::try_from(counts.iter().rposition(enough)?).expect("within the frame");
    Some((first, last - first + 1))
}
