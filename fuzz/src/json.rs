//! Mutations of JSON. Mutations of single bytes seldom keep an input valid, so these change nodes of the tree.

use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Map, Value};

/// Values and keys that the program or its dependencies look for.
const WORDS: &str = include_str!("../dictionaries/json.words");

/// xorshift64. The fuzzer's seed determines all choices.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Mutates `data[..size]`: its tree if it is JSON, otherwise its bytes. Returns the new size.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Random(u64::from(seed) << 1 | 0x9e37_79b9_0000_0001);
    random.below(1);
    let tree = serde_json::from_slice(&data[..size])
        .ok()
        .filter(|_| random.below(4) > 0);
    let Some(mut tree) = tree else {
        return fuzzer_mutate(data, size, max_size);
    };
    for _ in 0..=random.below(3) {
        change(&mut tree, &mut random);
    }
    let text = tree.to_string();
    if text.len() > max_size {
        return fuzzer_mutate(data, size, max_size);
    }
    data[..text.len()].copy_from_slice(text.as_bytes());
    text.len()
}

/// Changes one node of the tree.
fn change(tree: &mut Value, random: &mut Random) {
    let nodes = count(tree);
    let index = random.below(nodes);
    let other = nth(tree, &mut random.below(nodes))
        .cloned()
        .unwrap_or_default();
    let Some(node) = nth(tree, &mut { index }) else {
        return;
    };
    let choice = random.below(12);
    match (choice, &mut *node) {
        (0..4, Value::Object(fields)) if !fields.is_empty() => {
            let key = fields
                .keys()
                .nth(random.below(fields.len()))
                .cloned()
                .unwrap_or_default();
            let value = fields.remove(&key).unwrap_or_default();
            match choice {
                0 => {}
                1 => _ = fields.insert(mutated(&key), value),
                2 => _ = fields.insert(word(random), value),
                _ => {
                    _ = (
                        fields.insert(key, value.clone()),
                        fields.insert(word(random), value),
                    )
                }
            }
        }
        (0..4, Value::Array(items)) if !items.is_empty() => {
            let at = random.below(items.len());
            let item = items.remove(at);
            if choice > 1 {
                items.extend([item.clone(), item]);
            }
        }
        (0..4, Value::String(text)) => *text = mutated(text),
        (4, Value::Object(fields)) => _ = fields.insert(word(random), other),
        (4, Value::Array(items)) => items.push(other),
        (5, Value::Object(fields)) => {
            let names = fields.keys().cloned().map(Value::String).collect();
            *node = if random.below(2) == 0 {
                fields.values().cloned().collect()
            } else {
                Value::Array(names)
            };
        }
        (6, _) => *node = other,
        (7, _) => *node = Value::Array(vec![node.take()]),
        (8, _) => *node = Value::Object(Map::from_iter([(word(random), node.take())])),
        (9, _) => *node = scalar(random),
        _ => *node = Value::String(word(random)),
    }
}

fn count(node: &Value) -> usize {
    1 + match node {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// The node at `index`, in the order of the text.
fn nth<'a>(node: &'a mut Value, index: &mut usize) -> Option<&'a mut Value> {
    if *index == 0 {
        return Some(node);
    }
    *index -= 1;
    match node {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, index)),
        Value::Object(fields) => fields.values_mut().find_map(|value| nth(value, index)),
        _ => None,
    }
}

fn word(random: &mut Random) -> String {
    let words: Vec<&str> = WORDS.lines().collect();
    words[random.below(words.len())].to_owned()
}

fn mutated(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let size = bytes.len();
    bytes.resize(size + 32, 0);
    let size = fuzzer_mutate(&mut bytes, size, size + 32);
    String::from_utf8_lossy(&bytes[..size]).into_owned()
}

fn scalar(random: &mut Random) -> Value {
    match random.below(8) {
        0 => Value::Null,
        1 => true.into(),
        2 => false.into(),
        3 => 0.into(),
        4 => u64::MAX.into(),
        5 => i64::MIN.into(),
        6 => 1e300.into(),
        _ => Value::Object(Map::new()),
    }
}
