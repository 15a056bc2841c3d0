//! The bill of materials, as SPDX 2.3 has it in JSON. Pure.

use serde_json::{Value, json};

use crate::image::{Digest, Inventory, Package, Predicate};

const KIND: &str = "https://spdx.dev/Document";
const NOTHING_SAID: &str = "NOASSERTION";
const IMAGE: &str = "SPDXRef-Image";

/// `created`: RFC 3339, in whole seconds and UTC.
pub fn bill(inventory: &Inventory, image: &str, created: &str) -> Predicate {
    let mut packages = vec![json!({
        "SPDXID": IMAGE,
        "name": image,
        "downloadLocation": NOTHING_SAID,
        "filesAnalyzed": false,
        "primaryPackagePurpose": "CONTAINER",
        "licenseConcluded": NOTHING_SAID,
        "licenseDeclared": NOTHING_SAID,
        "copyrightText": NOTHING_SAID,
    })];
    let mut relationships = vec![json!({
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": IMAGE,
    })];
    for one in &inventory.packages {
        let id = id(one);
        relationships.push(json!({
            "spdxElementId": IMAGE,
            "relationshipType": "CONTAINS",
            "relatedSpdxElement": id,
        }));
        packages.push(package(one, &id));
    }
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": image,
        "creationInfo": {
            "created": created,
            "creators": [concat!("Tool: bryo-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relationships,
    });
    if !inventory.unread.is_empty() {
        document["comment"] = format!("not read: {}", inventory.unread.join(", ")).into();
    }
    // Two documents have one namespace only if they say the same.
    let content = Digest::of(document.to_string().as_bytes());
    let namespace = format!("https://spdx.org/spdxdocs/bryo-{}", content.hex());
    document["documentNamespace"] = namespace.into();
    Predicate {
        kind: KIND.to_owned(),
        content: document,
    }
}

/// Letters, digits, dots and dashes; the same for the same package of the same file.
fn id(package: &Package) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let name: String = package
        .name
        .chars()
        .map(|c| if is_plain(c) { c } else { '-' })
        .collect();
    let unique = Digest::of(format!("{}\n{}", package.purl, package.found_in).as_bytes());
    format!("SPDXRef-Package-{name}-{}", &unique.hex()[..16])
}

fn package(one: &Package, id: &str) -> Value {
    let mut shown = json!({
        "SPDXID": id,
        "name": one.name,
        "versionInfo": one.version,
        "downloadLocation": NOTHING_SAID,
        "filesAnalyzed": false,
        "sourceInfo": format!("found in {}", one.found_in),
        "licenseConcluded": NOTHING_SAID,
        "licenseDeclared": NOTHING_SAID,
        "copyrightText": NOTHING_SAID,
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": one.purl,
        }],
    });
    // What a database calls a licence need not be an expression of SPDX.
    if !one.license.is_empty() {
        shown["licenseComments"] = format!("declared as: {}", one.license).into();
    }
    if !one.supplier.is_empty() {
        shown["supplier"] = format!("Organization: {}", one.supplier).into();
    }
    shown
}
