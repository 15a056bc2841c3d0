//! `system df`.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::error::{CliError, Kind};
use super::table::{Columns, Layout, Row, Wanted};
use super::{Invocation, images, status, units};
use crate::engine::{CacheEntry, DiskUsage, SizeOf};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `table`, `json` or a Go template
    #[arg(long)]
    format: Option<String>,
    /// Show each image, container and volume
    #[arg(short, long)]
    verbose: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let usage = invocation.engine()?.disk_usage();
    let usage = usage.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    match args.format.as_deref() {
        None | Some("" | "table") if args.verbose => return verbose(&usage, invocation),
        Some(format) if args.verbose => {
            invocation.formatted(format, &all(&usage))?;
            return Ok(0);
        }
        _ => {}
    }
    let columns = Columns {
        headings: &[
            ("Type", "TYPE"),
            ("TotalCount", "TOTAL"),
            ("Active", "ACTIVE"),
            ("Size", "SIZE"),
            ("Reclaimable", "RECLAIMABLE"),
        ],
        shown: vec!["Type", "TotalCount", "Active", "Size", "Reclaimable"],
        quiet: "Type",
    };
    invocation.listed(&columns, args.format.as_deref(), false, &summary(&usage))
}

fn summary(usage: &DiskUsage) -> Vec<Row> {
    let used_images: std::collections::BTreeSet<&str> = usage
        .images
        .iter()
        .filter(|image| image.containers > 0)
        .map(|image| image.row.id.as_str())
        .collect();
    let running = usage
        .containers
        .iter()
        .filter(|(one, _)| one.status.is_running());
    let of_containers: u64 = usage.containers.iter().map(|(_, size)| size).sum();
    let of_running: u64 = running.clone().map(|(_, size)| size).sum();
    let used_volumes = usage
        .volumes
        .iter()
        .filter(|(volume, _)| !volume.users.is_empty());
    let of_volumes: u64 = usage.volumes.iter().map(|(_, size)| size).sum();
    let of_used: u64 = used_volumes.clone().map(|(_, size)| size).sum();
    vec![
        line(
            "Images",
            [usage.image_count, used_images.len()],
            usage.image_bytes,
            usage.image_reclaimable,
        ),
        line(
            "Containers",
            [usage.containers.len(), running.count()],
            of_containers,
            of_containers - of_running,
        ),
        line(
            "Local Volumes",
            [usage.volumes.len(), used_volumes.count()],
            of_volumes,
            of_volumes - of_used,
        ),
        build_cache(&usage.build_cache),
    ]
}

/// Layers that images have too are counted there.
fn build_cache(entries: &[CacheEntry]) -> Row {
    let own = entries.iter().filter(|entry| !entry.shared);
    let in_use = entries.iter().filter(|entry| entry.in_use);
    let idle = own.clone().filter(|entry| !entry.in_use);
    line(
        "Build Cache",
        [entries.len(), in_use.count()],
        own.map(|entry| entry.size).sum(),
        idle.map(|entry| entry.size).sum(),
    )
}

fn line(kind: &str, [total, active]: [usize; 2], size: u64, reclaimable: u64) -> Row {
    let mut row = Row::default();
    row.set("Type", kind);
    row.set("TotalCount", total.to_string());
    row.set("Active", active.to_string());
    row.set("Size", units::size(size));
    let share = reclaimable.saturating_mul(100).checked_div(size);
    row.set(
        "Reclaimable",
        match share {
            Some(share) => format!("{} ({share}%)", units::size(reclaimable)),
            None => units::size(reclaimable),
        },
    );
    row
}

/// Everything that there is, for a template: docker's four lists.
fn all(usage: &DiskUsage) -> Value {
    let (now, zone) = (Timestamp::now(), units::local_zone());
    let list = |(_, rows): (Columns, Vec<Row>)| -> Value {
        let objects = rows.into_iter().map(|row| Value::Object(row.fields));
        objects.collect()
    };
    json!({
        "Images": list(of_images(usage, true, now, &zone)),
        "Containers": list(of_containers(usage, true, now, &zone)),
        "Volumes": list(of_volumes(usage)),
        "BuildCache": list(of_build_cache(usage, true, now)),
    })
}

fn verbose(usage: &DiskUsage, invocation: &Invocation) -> Result<u8, CliError> {
    let (now, zone) = (Timestamp::now(), units::local_zone());
    let own = usage.build_cache.iter().filter(|entry| !entry.shared);
    let of_cache: u64 = own.map(|entry| entry.size).sum();
    let of_cache = format!("Build cache usage: {}", units::size(of_cache));
    let text = [
        (
            "Images space usage:".to_owned(),
            of_images(usage, false, now, &zone),
        ),
        (
            "Containers space usage:".to_owned(),
            of_containers(usage, false, now, &zone),
        ),
        ("Local Volumes space usage:".to_owned(), of_volumes(usage)),
        (of_cache, of_build_cache(usage, false, now)),
    ];
    let mut parts = Vec::new();
    for (title, (columns, rows)) in text {
        let table = columns.render(&Layout::new(None, false), &rows);
        let table = table.map_err(|error| Invocation::template(&error))?;
        parts.push(format!("{title}\n\n{table}"));
    }
    if usage.kept_blobs > 0 {
        let size = units::size(usage.kept_bytes);
        let blobs = if usage.kept_blobs == 1 {
            "blob"
        } else {
            "blobs"
        };
        parts.push(format!(
            "Kept blobs usage: {size} in {} {blobs}\n",
            usage.kept_blobs
        ));
    }
    invocation.ui.result(&parts.join("\n"))?;
    Ok(0)
}

fn of_images(
    usage: &DiskUsage,
    whole: bool,
    now: Timestamp,
    zone: &TimeZone,
) -> (Columns, Vec<Row>) {
    let rows = usage.images.iter().map(|image| {
        let mut row = images::row(&image.row, whole, now, zone);
        row.set("Size", units::size(image.shared + image.unique));
        row.set("SharedSize", units::size(image.shared));
        row.set("UniqueSize", units::size(image.unique));
        row.set("Containers", image.containers.to_string());
        row
    });
    let columns = Columns {
        shown: vec![
            "Repository",
            "Tag",
            "ID",
            "CreatedSince",
            "Size",
            "SharedSize",
            "UniqueSize",
            "Containers",
        ],
        ..images::columns()
    };
    (columns, rows.collect())
}

fn of_containers(
    usage: &DiskUsage,
    whole: bool,
    now: Timestamp,
    zone: &TimeZone,
) -> (Columns, Vec<Row>) {
    let rows = usage.containers.iter().map(|(container, size)| {
        let mut measured = container.clone();
        measured.size = Some(SizeOf {
            own: *size,
            total: *size,
        });
        let mut row = status::row(&measured, &Wanted::All, whole, now, zone);
        row.set("Size", units::size(*size));
        row
    });
    let columns = Columns {
        headings: &[
            ("ID", "CONTAINER ID"),
            ("Image", "IMAGE"),
            ("Command", "COMMAND"),
            ("LocalVolumes", "LOCAL VOLUMES"),
            ("Size", "SIZE"),
            ("RunningFor", "CREATED"),
            ("Status", "STATUS"),
            ("Names", "NAMES"),
        ],
        shown: vec![
            "ID",
            "Image",
            "Command",
            "LocalVolumes",
            "Size",
            "RunningFor",
            "Status",
            "Names",
        ],
        quiet: "ID",
    };
    (columns, rows.collect())
}

fn of_build_cache(usage: &DiskUsage, whole: bool, now: Timestamp) -> (Columns, Vec<Row>) {
    let rows = usage.build_cache.iter().map(|entry| {
        let ago = |time: Option<Timestamp>| match time {
            Some(time) => units::ago(time, now),
            None => String::new(),
        };
        let mut row = Row::default();
        let shown = if whole { usize::MAX } else { 12 };
        row.set("ID", entry.id.chars().take(shown).collect::<String>());
        row.set("CacheType", entry.kind.name());
        row.set("Size", units::size(entry.size));
        row.set("CreatedSince", ago(entry.created));
        row.set("LastUsedSince", ago(entry.last_used.try_into().ok()));
        row.set("Shared", entry.shared.to_string());
        row
    });
    let columns = Columns {
        headings: &[
            ("ID", "CACHE ID"),
            ("CacheType", "CACHE TYPE"),
            ("Size", "SIZE"),
            ("CreatedSince", "CREATED"),
            ("LastUsedSince", "LAST USED"),
            ("Shared", "SHARED"),
        ],
        shown: vec![
            "ID",
            "CacheType",
            "Size",
            "CreatedSince",
            "LastUsedSince",
            "Shared",
        ],
        quiet: "ID",
    };
    (columns, rows.collect())
}

fn of_volumes(usage: &DiskUsage) -> (Columns, Vec<Row>) {
    let rows = usage.volumes.iter().map(|(volume, size)| {
        let mut row = Row::default();
        row.set("Name", volume.volume.name.as_str());
        row.set("Links", volume.users.len().to_string());
        row.set("Size", units::size(*size));
        row
    });
    let columns = Columns {
        headings: &[
            ("Name", "VOLUME NAME"),
            ("Links", "LINKS"),
            ("Size", "SIZE"),
        ],
        shown: vec!["Name", "Links", "Size"],
        quiet: "Name",
    };
    (columns, rows.collect())
}
