//! Arguments of a tool call. Models write numbers as texts and leave things empty: what is meant is taken, the rest is named.

use serde_json::{Map, Value};

use super::answer::Trouble;

/// The arguments of one call.
#[derive(Debug, Default)]
pub(super) struct Arguments(Map<String, Value>);

impl Arguments {
    /// As they came.
    pub(super) fn new(map: Map<String, Value>) -> Self {
        Self(map)
    }

    /// Any value; null counts as left out.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Takes a value out.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// Puts a value in.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// All that is left.
    pub(super) fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// A text that may be left out.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Trouble> {
        let text = |value: &'_ Value| -> bool { value.is_string() };
        match self.value(name) {
            None => Ok(None),
            Some(value) if text(value) => Ok(value.as_str()),
            Some(_) => Err(Trouble::argument(name, "a string is due")),
        }
    }

    /// A text that has to be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, Trouble> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| Trouble::argument(name, "it is missing"))
    }

    /// A number, also one that was written as a text.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Trouble> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let number = value
            .as_u64()
            .or_else(|| value.as_f64().and_then(whole))
            .or_else(|| value.as_str()?.trim().parse().ok());
        let number = number.ok_or_else(|| Trouble::argument(name, "a whole number is due"))?;
        Ok(Some(number))
    }

    /// A yes or no, also one that was written as a text.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Trouble> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(_) => Err(Trouble::argument(name, "true or false is due")),
        }
    }

    /// A list of texts; one text alone is a list of one.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&str>, Trouble> {
        let due = || Trouble::argument(name, "a list of strings is due");
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(items)) => {
                let items = items.iter().map(|item| item.as_str().ok_or_else(due));
                items.collect()
            }
            Some(_) => Err(due()),
        }
    }

    /// A list of numbers.
    pub(super) fn numbers(&self, name: &str) -> Result<Option<Vec<i64>>, Trouble> {
        let due = || Trouble::argument(name, "a list of whole numbers is due");
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let items = value.as_array().ok_or_else(due)?.iter();
        let items: Result<Vec<i64>, Trouble> =
            items.map(|item| item.as_i64().ok_or_else(due)).collect();
        items.map(Some)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "checked to be whole, positive and exact"
)]
fn whole(number: f64) -> Option<u64> {
    let fits = number >= 0.0 && number.fract() == 0.0 && number < (1_u64 << 53) as f64;
    fits.then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: Value) -> Arguments {
        match value {
            Value::Object(map) => Arguments::new(map),
            _ => panic!("an object is due"),
        }
    }

    #[test]
    fn what_is_meant_is_taken() {
        let arguments =
            of(json!({"a": "5", "b": 5.0, "c": "true", "d": null, "e": "x", "f": ["x", "y"]}));
        assert_eq!(arguments.number("a"), Ok(Some(5)));
        assert_eq!(arguments.number("b"), Ok(Some(5)));
        assert_eq!(arguments.flag("c"), Ok(Some(true)));
        assert_eq!(arguments.text("d"), Ok(None));
        assert_eq!(arguments.texts("e"), Ok(vec!["x"]));
        assert_eq!(arguments.texts("f"), Ok(vec!["x", "y"]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let arguments = of(json!({"a": "x", "b": -1, "c": 1.5, "d": 7, "e": [1]}));
        for name in ["a", "b", "c"] {
            let trouble = arguments.number(name).expect_err("no number");
            assert!(trouble.message.contains(name), "{trouble}");
        }
        assert!(arguments.text("d").is_err());
        assert!(arguments.texts("e").is_err());
        assert!(arguments.flag("d").is_err());
        assert!(arguments.required("z").is_err());
    }
}
