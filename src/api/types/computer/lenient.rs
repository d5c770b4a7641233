//! Reads what a model wrote: forgiving about the form, plain about what cannot be meant.
//!
//! Models send whole numbers as `640.0` or `"640"`, and lists inside strings. What has one meaning is taken; what has
//! none is refused in words that tell the model what to send.

use serde_json::{Map, Value};

use crate::desktop::vocabulary::check::{BadAction, Fault};

/// The fields of one action.
#[derive(Debug)]
pub struct Fields<'a>(pub &'a Map<String, Value>);

impl Fields<'_> {
    /// A text; `None` is absent or null.
    pub fn text(&self, field: &'static str) -> Result<Option<String>, BadAction> {
        self.read(field, "a string", |value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    }

    /// A whole number.
    pub fn whole(&self, field: &'static str) -> Result<Option<i64>, BadAction> {
        self.read(field, "a whole number", whole)
    }

    /// A number.
    pub fn number(&self, field: &'static str) -> Result<Option<f64>, BadAction> {
        self.read(field, "a number", number)
    }

    /// A list of so many whole numbers, described as in `[x, y]`.
    pub fn numbers<const N: usize>(
        &self,
        field: &'static str,
        form: &str,
    ) -> Result<Option<[i64; N]>, BadAction> {
        self.read(field, form, |value| numbers(&list(value)?))
    }

    /// A list of points, each `{"x": 1, "y": 2}` or `[1, 2]`.
    pub fn points(&self, field: &'static str) -> Result<Vec<[i64; 2]>, BadAction> {
        let point = |value: &Value| match value {
            Value::Object(point) => Some([whole(point.get("x")?)?, whole(point.get("y")?)?]),
            other => numbers(&list(other)?),
        };
        let form = r#"a list of points, as in [{"x": 1, "y": 2}, {"x": 3, "y": 4}]"#;
        let points = self.read(field, form, |value| {
            list(value)?.iter().map(point).collect::<Option<Vec<_>>>()
        });
        points.map(Option::unwrap_or_default)
    }

    /// A list of texts; a single one stands for a list.
    pub fn texts(&self, field: &'static str) -> Result<Vec<String>, BadAction> {
        let texts = self.read(field, "a list of strings", |value| match value {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(items) => {
                let text = |item: &Value| item.as_str().map(ToOwned::to_owned);
                items.iter().map(text).collect()
            }
            _ => None,
        });
        texts.map(Option::unwrap_or_default)
    }

    fn read<T>(
        &self,
        field: &'static str,
        form: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, BadAction> {
        let Some(value) = self.0.get(field).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or_else(|| {
            let shown: String = value.to_string().chars().take(100).collect();
            BadAction {
                message: format!("\"{field}\" is not as it should be: {shown}."),
                field,
                detail: Some(format!("Send {form}.")),
                fault: Fault::Field,
            }
        })
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Rounded; so large a number means far outside, whatever it is.
fn whole(value: &Value) -> Option<i64> {
    if let Some(whole) = value.as_i64() {
        return Some(whole);
    }
    let number = number(value).filter(|number| number.is_finite())?;
    #[expect(clippy::cast_possible_truncation, reason = "saturates, as is meant")]
    Some(number.round() as i64)
}

fn list(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items.clone()),
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

fn numbers<const N: usize>(items: &[Value]) -> Option<[i64; N]> {
    let numbers = items.iter().map(whole).collect::<Option<Vec<_>>>()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn what_has_one_meaning_is_taken() {
        let map = map(&json!({
            "at": [640.0, "400"], "said": "[1, 2]", "null": null, "seconds": "1.5",
            "path": [{"x": 1, "y": 2}, [3, 4]], "keys": "ctrl", "text": 5, "far": 1e300
        }));
        let fields = Fields(&map);
        let pair = |field| fields.numbers::<2>(field, "[x, y]").expect("a pair");
        assert_eq!(pair("at"), Some([640, 400]));
        assert_eq!(pair("said"), Some([1, 2]));
        assert_eq!(pair("null"), None);
        assert_eq!(pair("absent"), None);
        assert_eq!(fields.number("seconds"), Ok(Some(1.5)));
        assert_eq!(fields.points("path"), Ok(vec![[1, 2], [3, 4]]));
        assert_eq!(fields.texts("keys"), Ok(vec!["ctrl".to_owned()]));
        assert_eq!(fields.text("text"), Ok(Some("5".to_owned())));
        assert_eq!(fields.whole("far"), Ok(Some(i64::MAX)));
    }

    #[test]
    fn what_has_none_is_refused_with_the_form() {
        let map = map(
            &json!({"at": [1, 2, 3], "text": {}, "keys": [1], "n": "many", "long": "x".repeat(1000)}),
        );
        let fields = Fields(&map);
        let pair = fields.numbers::<2>("at", "[x, y]").expect_err("three");
        assert_eq!(
            pair.explanation(),
            "\"at\" is not as it should be: [1,2,3]. Send [x, y]."
        );
        assert!(fields.text("text").is_err() && fields.texts("keys").is_err());
        assert!(fields.whole("n").is_err() && fields.points("n").is_err());
        assert!(fields.whole("long").expect_err("no number").message.len() < 200);
    }
}
