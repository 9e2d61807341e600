//! Lists the language files, so that adding a language is adding its file.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

const FOLDER: &str = "src/messages/languages";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={FOLDER}");
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join(FOLDER);
    let mut tags: Vec<String> = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let name = entry?
            .file_name()
            .into_string()
            .map_err(|name| format!("{name:?}"))?;
        tags.extend(name.strip_suffix(".ftl").map(str::to_owned));
    }
    tags.sort();
    let mut list = format!("static LANGUAGES: [Language; {}] = [\n", tags.len());
    for tag in &tags {
        let file = folder.join(format!("{tag}.ftl"));
        writeln!(list, "    Language::new({tag:?}, include_str!({file:?})),")?;
    }
    list.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("languages.rs"), list)?;
    Ok(())
}
