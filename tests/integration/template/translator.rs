//! The translation of the template by tests/stack/template.py, in one process for all tests.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex};

use serde_json::{Value, json};

/// The only translator. It ends with its standard input, which is the end of this process.
pub static TRANSLATOR: LazyLock<Mutex<Translator>> = LazyLock::new(|| Mutex::new(Translator::start()));

/// The process, and its answers by parameters: several tests ask for the same template.
pub struct Translator {
    process: Child,
    answers: Lines<BufReader<ChildStdout>>,
    known: HashMap<Vec<String>, Result<Value, String>>,
}

impl Translator {
    fn start() -> Self {
        let mut command = Command::new("../.venv/stack/bin/python");
        command.env("PYTHONPATH", ".").args(["-m", "stack.template"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let started = command.spawn();
        let mut process = started.unwrap_or_else(|error| panic!("could not run Python: {error}; run `make tools`"));
        let answers = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, answers, known: HashMap::new() }
    }

    /// The translated template, or the refusal of these parameters.
    pub fn translate(&mut self, parameters: &[&str]) -> Result<Value, String> {
        let parameters: Vec<_> = parameters.iter().map(|&parameter| parameter.to_owned()).collect();
        if let Some(known) = self.known.get(&parameters) {
            return known.clone();
        }
        writeln!(self.process.stdin.as_ref().unwrap(), "{}", json!(parameters)).expect("the translator reads");
        let answer = self.answers.next().expect("the translator answers").expect("it answers in text");
        let mut answer: Value = serde_json::from_str(&answer).expect("the answer is JSON");
        let translated = match answer["refusal"].as_str() {
            Some(refusal) => Err(refusal.to_owned()),
            None => Ok(answer["template"].take()),
        };
        self.known.insert(parameters, translated.clone());
        translated
    }
}
