//! `doctor`: the words for what `runtime::doctor` finds.

use super::Invocation;
use super::error::CliError;
use crate::paths::Paths;
use crate::runtime::doctor::{Finding, State, examine, worst};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let paths = Paths::from_environment().map_err(|error| CliError::failed(&error))?;
    let findings = examine(&paths);
    let text = match args.json {
        true => serde_json::to_string_pretty(&findings).expect("findings are plain data") + "\n",
        false => findings.iter().map(words).collect(),
    };
    invocation.ui.result(&text)?;
    Ok(u8::from(worst(&findings) == State::Broken))
}

/// A line for what was found, then what it means and the commands that cure it.
fn words(finding: &Finding) -> String {
    let state = match finding.state {
        State::Fine => "fine   ",
        State::Limited => "limited",
        State::Broken => "broken ",
    };
    let mut text = format!("{state}  {}\n", finding.found);
    if !finding.meaning.is_empty() {
        text += &format!("         {}\n", finding.meaning);
    }
    for cure in &finding.cure {
        text += &format!("         cure: {cure}\n");
    }
    text
}
