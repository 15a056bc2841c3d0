//! Lists of things: docker's columns, `--format` templates over rows, `--format json`. Gives text, prints nothing.

use serde_json::{Map, Value};

use super::template::{Scope, Template, TemplateError};

/// What a list can show of one kind of thing.
pub struct Columns {
    /// Every field with its heading, `("ID", "CONTAINER ID")`.
    pub headings: &'static [(&'static str, &'static str)],
    /// The fields of the plain table, in order.
    pub shown: Vec<&'static str>,
    /// What `-q` prints.
    pub quiet: &'static str,
}

/// One thing: its fields as docker's templates name them, and its labels for `{{.Label "key"}}`.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub fields: Map<String, Value>,
    pub labels: Map<String, Value>,
}

/// How a list was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    Table,
    Quiet,
    Json,
    /// `table {{.ID}}\t{{.Names}}`.
    TemplateTable(String),
    Template(String),
}

/// Narrower columns look ragged beside each other; docker's number.
const NARROWEST: usize = 10;
const GAP: usize = 3;

impl Layout {
    /// `--format`'s text; a template wins over `-q`, as docker has it.
    pub fn new(format: Option<&str>, quiet: bool) -> Layout {
        let unescaped = |text: &str| {
            text.trim_matches(' ')
                .replace("\\t", "\t")
                .replace("\\n", "\n")
        };
        match format {
            None | Some("" | "table") if quiet => Layout::Quiet,
            None | Some("" | "table") => Layout::Table,
            Some("json") => Layout::Json,
            Some(text) => match text.strip_prefix("table") {
                Some(rest) if rest.starts_with([' ', '\t', '{']) => {
                    Layout::TemplateTable(unescaped(rest))
                }
                _ => Layout::Template(unescaped(text)),
            },
        }
    }
}

/// The fields that are shown, so that nobody has to make the others.
pub enum Wanted {
    All,
    Fields(Vec<&'static str>),
}

impl Wanted {
    pub fn has(&self, field: &str) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Fields(fields) => fields.contains(&field),
        }
    }
}

impl Columns {
    /// What a layout shows of a row, or a little more.
    pub fn wanted(&self, layout: &Layout) -> Wanted {
        let text = match layout {
            Layout::Table => return Wanted::Fields(self.shown.clone()),
            Layout::Quiet => return Wanted::Fields(vec![self.quiet]),
            Layout::Json => return Wanted::All,
            Layout::TemplateTable(text) | Layout::Template(text) => text,
        };
        // A dot without a name is the whole row, `{{json .}}`.
        let mut dots = text.split('.').skip(1);
        if dots.any(|rest| !rest.starts_with(|first: char| first.is_ascii_alphabetic())) {
            return Wanted::All;
        }
        let named = self.headings.iter().map(|(field, _)| *field);
        Wanted::Fields(named.filter(|field| text.contains(field)).collect())
    }

    /// The whole list, each line ended.
    pub fn render(&self, layout: &Layout, rows: &[Row]) -> Result<String, TemplateError> {
        match layout {
            Layout::Table => {
                let lines = rows.iter().map(|row| self.cells(row)).collect::<Vec<_>>();
                let head = self
                    .shown
                    .iter()
                    .map(|field| self.heading(field).to_owned());
                Ok(align(std::iter::once(head.collect()).chain(lines)))
            }
            Layout::Quiet => Ok(lines(rows.iter().map(|row| cell(row, self.quiet)))),
            Layout::Json => Ok(lines(rows.iter().map(json))),
            Layout::Template(text) => {
                let template = Template::parse(text)?;
                let shown = rows.iter().map(|row| row.render(&template));
                Ok(lines(shown.collect::<Result<Vec<_>, _>>()?))
            }
            Layout::TemplateTable(text) => self.template_table(text, rows),
        }
    }

    /// The headings are the template rendered over the fields' own headings.
    fn template_table(&self, text: &str, rows: &[Row]) -> Result<String, TemplateError> {
        let template = Template::parse(text)?;
        let mut head = Row::default();
        for (field, heading) in self.headings {
            head.fields.insert((*field).to_owned(), (*heading).into());
        }
        // `{{.Label "com.example.tier"}}` is headed `tier`
        head.labels = rows
            .iter()
            .flat_map(|row| row.labels.keys())
            .map(|key| {
                let short = key.rsplit('.').next().unwrap_or(key);
                (key.clone(), Value::from(short.replace(['-', '_'], " ")))
            })
            .collect();
        let mut cells = vec![split(&head.render(&template)?)];
        for row in rows {
            cells.push(split(&row.render(&template)?));
        }
        Ok(align(cells))
    }

    fn heading(&self, field: &str) -> &'static str {
        let known = self.headings.iter().find(|(name, _)| *name == field);
        known.map_or("", |(_, heading)| heading)
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        self.shown.iter().map(|field| cell(row, field)).collect()
    }
}

impl Row {
    pub fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.fields.insert(field.to_owned(), value.into());
    }

    fn render(&self, template: &Template) -> Result<String, TemplateError> {
        template.render(&Scope {
            root: &Value::Object(self.fields.clone()),
            labels: Some(&self.labels),
        })
    }
}

fn split(line: &str) -> Vec<String> {
    line.split('\t').map(str::to_owned).collect()
}

fn lines(texts: impl IntoIterator<Item = String>) -> String {
    texts.into_iter().map(|text| text + "\n").collect()
}

fn cell(row: &Row, field: &str) -> String {
    match row.fields.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// One object per line, keys in order, as docker prints them.
fn json(row: &Row) -> String {
    let mut fields: Vec<(&String, &Value)> = row.fields.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    let ordered: Map<String, Value> = fields
        .into_iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Value::Object(ordered).to_string()
}

/// Columns as wide as their widest cell and three blanks; the last one is not padded.
pub fn align(lines: impl IntoIterator<Item = Vec<String>>) -> String {
    align_to(lines, NARROWEST, GAP)
}

/// The same with so many blanks, and columns that are no narrower than that.
pub fn align_to(
    lines: impl IntoIterator<Item = Vec<String>>,
    narrowest: usize,
    gap: usize,
) -> String {
    let lines: Vec<Vec<String>> = lines.into_iter().collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter(|line| line.len() > column + 1);
        let widest = cells.map(|line| line[column].chars().count()).max();
        (widest.unwrap_or(0) + gap).max(narrowest)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        for (at, cell) in line.iter().enumerate() {
            text.push_str(cell);
            if at + 1 < line.len() {
                let missing = widths[at].saturating_sub(cell.chars().count());
                text.extend(std::iter::repeat_n(' ', missing));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        Columns {
            headings: &[
                ("ID", "CONTAINER ID"),
                ("Names", "NAMES"),
                ("State", "STATE"),
            ],
            shown: vec!["ID", "Names"],
            quiet: "ID",
        }
    }

    fn rows() -> Vec<Row> {
        ["web", "db"]
            .iter()
            .map(|name| {
                let mut row = Row::default();
                row.set("ID", format!("0123{name}"));
                row.set("Names", *name);
                row.set("State", "running");
                row.labels
                    .insert("com.example.tier".to_owned(), (*name).into());
                row
            })
            .collect()
    }

    fn shown(format: Option<&str>, quiet: bool) -> String {
        columns()
            .render(&Layout::new(format, quiet), &rows())
            .unwrap()
    }

    #[test]
    fn what_a_template_shows_is_wanted() {
        for (format, quiet, fields) in [
            (None, false, &["ID", "Names"][..]),
            (None, true, &["ID"]),
            (Some("{{.Names}}: {{.State}}"), false, &["Names", "State"]),
            (Some("table {{lower .ID}}"), false, &["ID"]),
            (Some("json"), false, &["ID", "Names", "State"]),
            (Some("{{json .}}"), false, &["ID", "Names", "State"]),
            (
                Some("{{with .ID}}{{.}}{{end}}"),
                false,
                &["ID", "Names", "State"],
            ),
        ] {
            let wanted = columns().wanted(&Layout::new(format, quiet));
            let mut all = vec!["ID", "Names", "State"];
            all.retain(|field| wanted.has(field));
            assert_eq!(all, fields, "{format:?}");
        }
    }

    #[test]
    fn a_table_has_docker_s_columns() {
        let expected = "CONTAINER ID   NAMES\n0123web        web\n0123db         db\n";
        assert_eq!(shown(None, false), expected);
        assert_eq!(shown(Some("table"), false), expected);
        assert_eq!(shown(None, true), "0123web\n0123db\n");
    }

    #[test]
    fn templates_with_and_without_headings() {
        assert_eq!(
            shown(Some("{{.Names}}={{.State}}"), true),
            "web=running\ndb=running\n"
        );
        assert_eq!(
            shown(Some("table {{.Names}}\\t{{.State}}"), false),
            "NAMES     STATE\nweb       running\ndb        running\n"
        );
        assert_eq!(
            shown(Some("table {{.Label \"com.example.tier\"}}"), false),
            "tier\nweb\ndb\n"
        );
        assert_eq!(
            shown(Some("{{.Label \"com.example.tier\"}}"), false),
            "web\ndb\n"
        );
        assert!(
            columns()
                .render(&Layout::new(Some("{{.Foo}}"), false), &rows())
                .is_err()
        );
    }

    #[test]
    fn json_is_one_object_a_line() {
        assert_eq!(
            shown(Some("json"), false).lines().next(),
            Some(r#"{"ID":"0123web","Names":"web","State":"running"}"#)
        );
    }
}
