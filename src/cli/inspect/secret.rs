//! A secret as podman's `secret inspect` shows it, which has docker's keys and a few more. Its value only where it is
//! asked for.

use serde_json::{Value, json};

use crate::container::{Secret, SecretValue};

pub fn document(secret: &Secret, value: Option<&SecretValue>) -> Value {
    let mut document = json!({
        "ID": secret.id,
        "CreatedAt": secret.created,
        "UpdatedAt": secret.updated,
        "Spec": {
            "Name": secret.name,
            "Driver": {"Name": "file", "Options": {}},
            "Labels": secret.labels,
        },
    });
    if let (Some(value), Some(map)) = (value, document.as_object_mut()) {
        let text = String::from_utf8_lossy(value.expose());
        map.insert("SecretData".to_owned(), text.into());
    }
    document
}
