//! Reading a file of reference values: every error names the file and the place in it.

use serde_json::Value;

use super::SelftestError;

/// A value of a JSON document that knows where it is.
#[derive(Clone, Debug)]
pub(super) struct At<'a> {
    value: &'a Value,
    file: &'a str,
    path: String,
}

impl<'a> At<'a> {
    pub(super) fn root(value: &'a Value, file: &'a str) -> Self {
        Self { value, file, path: String::new() }
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    /// The error that says what should have been here.
    pub(super) fn expected(&self, expected: impl Into<String>) -> SelftestError {
        SelftestError::Malformed { file: self.file.to_owned(), path: self.path.clone(), expected: expected.into() }
    }

    pub(super) fn get(&self, key: &str) -> Result<Self, SelftestError> {
        self.opt(key).ok_or_else(|| self.expected(format!("an object with '{key}'")))
    }

    /// The member `key`, unless it is missing or null.
    pub(super) fn opt(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|v| !v.is_null())?;
        Some(Self { value, file: self.file, path: format!("{}.{key}", self.path) })
    }

    /// The elements of an array.
    pub(super) fn items(&self) -> Result<Vec<Self>, SelftestError> {
        let items = self.value.as_array().ok_or_else(|| self.expected("an array"))?;
        Ok(items.iter().enumerate().map(|(i, value)| Self { value, file: self.file, path: format!("{}[{i}]", self.path) }).collect())
    }

    /// The members of an object, in the order of their keys.
    pub(super) fn entries(&self) -> Result<Vec<(&'a str, Self)>, SelftestError> {
        let members = self.value.as_object().ok_or_else(|| self.expected("an object"))?;
        Ok(members.iter().map(|(k, value)| (k.as_str(), Self { value, file: self.file, path: format!("{}.{k}", self.path) })).collect())
    }

    /// A number; infinities and NaN are written as the strings `inf`, `-inf`, `nan`.
    pub(super) fn f64(&self) -> Result<f64, SelftestError> {
        let named = || match self.value.as_str()? {
            "inf" => Some(f64::INFINITY),
            "-inf" => Some(f64::NEG_INFINITY),
            "nan" => Some(f64::NAN),
            _ => None,
        };
        self.value.as_f64().or_else(named).ok_or_else(|| self.expected("a number"))
    }

    /// All numbers of arbitrarily nested arrays, in order; null stands for NaN.
    pub(super) fn f64s(&self) -> Result<Vec<f64>, SelftestError> {
        let mut all = Vec::new();
        self.flatten(&mut all)?;
        Ok(all)
    }

    fn flatten(&self, all: &mut Vec<f64>) -> Result<(), SelftestError> {
        if self.value.is_array() {
            self.items()?.iter().try_for_each(|item| item.flatten(all))
        } else if self.value.is_null() {
            all.push(f64::NAN);
            Ok(())
        } else {
            all.push(self.f64()?);
            Ok(())
        }
    }

    /// A whole number that is not negative.
    pub(super) fn index(&self) -> Result<usize, SelftestError> {
        self.value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| self.expected("a whole number, 0 or more"))
    }

    /// A whole number from 0 to `most`.
    pub(super) fn index_below(&self, most: usize) -> Result<usize, SelftestError> {
        self.index().ok().filter(|n| *n <= most).ok_or_else(|| self.expected(format!("a whole number from 0 to {most}")))
    }

    pub(super) fn str(&self) -> Result<&'a str, SelftestError> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    /// Anything that serde can read.
    pub(super) fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, SelftestError> {
        serde_json::from_value(self.value.clone()).map_err(|e| self.expected(e.to_string()))
    }
}
