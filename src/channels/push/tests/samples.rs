//! Credentials, and answers of FCM.

use serde_json::{Value, json};

/// The name of the service account.
pub(crate) const ACCOUNT: &str = "sender@studio-nord.iam.gserviceaccount.example";
/// The account's key. It was made for these tests, and opens nothing.
pub(crate) const KEY: &str = include_str!("key.pem");

/// The file that Google's console gives out for a service account.
pub(crate) fn credentials(token_uri: &str) -> Value {
    json!({
        "type": "service_account",
        "project_id": "studio-nord",
        "private_key_id": "key-1",
        "private_key": KEY,
        "client_email": ACCOUNT,
        "client_id": "1",
        "token_uri": token_uri,
    })
}

/// An error of FCM, with its code in the details.
pub(crate) fn refusal(status: u16, name: &str, code: &str, message: &str) -> Value {
    let detail = json!({
        "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
        "errorCode": code,
    });
    let error = json!({"code": status, "message": message, "status": name, "details": [detail]});
    json!({"error": error})
}
