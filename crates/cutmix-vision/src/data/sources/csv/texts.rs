//! Many short texts with little memory.

/// Texts one after another in one. There may be millions of file names, and an allocation for each
/// would take more than the name.
#[derive(Debug, Default)]
pub struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    pub fn push(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(self.all.len());
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn get(&self, index: usize) -> &str {
        let start = if index > 0 { self.ends[index - 1] } else { 0 };
        &self.all[start..self.ends[index]]
    }

    pub fn shrink_to_fit(&mut self) {
        self.all.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}
