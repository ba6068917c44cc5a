//! Containers: what is written is read back; what is broken is refused with its place.

use cosim::dtype::Block;
use cosim::formats::safetensors::Written;
use cosim::formats::{FormatError, Kind, gguf, npy, npz, safetensors, values};
use indexmap::IndexMap;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Cursor;

fn tensors() -> Vec<Written> {
    let numbers: Vec<f32> = (0..64).map(|i| i as f32 / 7.0 - 3.0).collect();
    let written = |name: &str, kind, shape: &[u64], bytes| Written {
        name: name.to_owned(),
        kind,
        shape: shape.to_vec(),
        bytes,
    };
    vec![
        written("a.weight", Kind::F32, &[2, 32], values::f32_bytes(&numbers)),
        written("ids", Kind::I64, &[3], values::i64_bytes(&[1, -2, 1 << 40])),
        written("empty", Kind::F32, &[0, 4], vec![]),
        written("half", Kind::F16, &[2], vec![0, 0x3c, 0, 0xc0]),
    ]
}

fn safetensors_file() -> Vec<u8> {
    let note = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::file(&tensors(), &note).expect("a file")
}

fn gguf_file() -> Vec<u8> {
    let mut metadata = IndexMap::new();
    let mut put = |key: &str, value| metadata.insert(key.to_owned(), value);
    put("general.architecture", gguf::Value::of_text("llama"));
    put("llama.block_count", gguf::Value::u32(3));
    put("signed", gguf::Value::Signed(2, -5));
    put("big", gguf::Value::Unsigned(8, 1 << 40));
    put("byte", gguf::Value::Unsigned(1, 7));
    put("float", gguf::Value::F32(0.5));
    put("double", gguf::Value::F64(0.25));
    put("truth", gguf::Value::Bool(true));
    let words = ["a", "\u{120}b", ""].map(gguf::Value::of_text).to_vec();
    put("tokenizer.ggml.tokens", gguf::Value::Array(8, words));
    let mut all = tensors();
    let blocks = Kind::Block(Block::Q8_0);
    let bytes = vec![3; 68];
    all.push(Written { name: "q".to_owned(), kind: blocks, shape: vec![2, 32], bytes });
    let mut file = vec![];
    gguf::file(&mut file, &metadata, &all).expect("a file");
    file
}

#[test]
fn safetensors_come_back() {
    let mut file = Cursor::new(safetensors_file());
    let directory = safetensors::directory(&mut file).expect("a directory");
    assert_eq!(directory.metadata["format"], "pt");
    for written in tensors() {
        let entry = &directory.entries[&written.name];
        assert_eq!((entry.kind, &entry.shape), (written.kind, &written.shape));
        assert_eq!(entry.read(&mut file).expect("bytes"), written.bytes);
    }
}

#[test]
fn gguf_comes_back() {
    let mut file = Cursor::new(gguf_file());
    let directory = gguf::directory(&mut file).expect("a directory");
    assert_eq!(directory.text("general.architecture").expect("a text"), "llama");
    assert_eq!(directory.count("llama.block_count").expect("a number"), 3);
    assert_eq!(directory.metadata["signed"], gguf::Value::Signed(2, -5));
    assert_eq!(directory.count("big").expect("a number"), 1 << 40);
    assert_eq!(directory.count("byte").expect("a number"), 7);
    assert_eq!(directory.number("double").expect("a number"), 0.25);
    assert_eq!(directory.metadata["truth"].bool(), Some(true));
    let words = directory.metadata["tokenizer.ggml.tokens"].array().expect("an array");
    assert_eq!(words[1].text(), Some("\u{120}b"));
    for written in tensors() {
        let entry = &directory.entries[&written.name];
        assert_eq!((entry.kind, &entry.shape), (written.kind, &written.shape));
        assert_eq!(entry.read(&mut file).expect("bytes"), written.bytes);
    }
    assert_eq!(directory.entries["q"].bytes, 68);
    // Values are written as they were read.
    let mut again = vec![];
    gguf::file(&mut again, &directory.metadata, &[]).expect("a file");
    let directory_again = gguf::directory(&mut Cursor::new(again)).expect("a directory");
    assert_eq!(directory_again.metadata, directory.metadata);
}

#[test]
fn npy_comes_back_whatever_its_order() {
    for written in tensors() {
        let mut file =
            Cursor::new(npy::file(written.kind, &written.shape, &written.bytes).expect("a file"));
        let array = npy::array(&mut file).expect("an array");
        assert_eq!((array.entry.kind, &array.entry.shape), (written.kind, &written.shape));
        assert_eq!(array.entry.offset % 64, 0);
        assert_eq!(array.read(&mut file).expect("bytes"), written.bytes);
    }
    // numpy.save of np.asfortranarray(np.array([[1, 2, 3], [4, 5, 6]], dtype='>i2')), header by hand.
    let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n";
    let length = (header.len() as u16).to_le_bytes();
    let data = [0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6];
    let mut file =
        Cursor::new([&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), &data].concat());
    let array = npy::array(&mut file).expect("an array");
    let bytes = array.read(&mut file).expect("bytes");
    assert_eq!(values::integers(array.entry.kind, &bytes), Some(vec![1, 2, 3, 4, 5, 6]));
}

#[test]
fn plain_kinds_become_numbers() {
    let close: Vec<f64> = values::decode(Kind::Bf16, &[0x80, 0x3f, 0x49, 0xc0]).expect("plain");
    assert_eq!(close, [1.0, -3.140625]);
    let ids: Vec<f32> = values::decode(Kind::I32, &(-7i32).to_le_bytes()).expect("plain");
    assert_eq!(ids, [-7.0]);
    assert!(values::decode::<f32>(Kind::Block(Block::Q4_0), &[0; 18]).is_err());
    for &kind in Kind::PLAIN {
        assert_eq!(Kind::from_name(kind.name()), Some(kind));
    }
}

fn message(result: Result<impl Sized, FormatError>) -> String {
    match result {
        Err(e) => e.to_string(),
        Ok(_) => panic!("a broken file was read"),
    }
}

#[test]
fn broken_files_are_refused_with_their_place() {
    let safe = |bytes: &[u8]| message(safetensors::directory(&mut Cursor::new(bytes)));
    assert_eq!(safe(b""), "byte 0: the header's length takes 8 bytes, but the file ends at byte 0");
    assert!(
        safe(&u64::MAX.to_le_bytes())
            .starts_with("byte 0: the header's length is 18446744073709551615")
    );
    assert_eq!(
        safe(&9u64.to_le_bytes()),
        "byte 8: the header takes 9 bytes, but the file ends at byte 8"
    );
    let with = |header: &str, data: usize| {
        let length = (header.len() as u64).to_le_bytes();
        safe(&[&length[..], header.as_bytes(), &vec![0; data]].concat())
    };
    let one = |shape: &str, end: u64| {
        format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    assert!(with(&one("[1]", 4), 3).contains("describes 4 bytes of tensors, the file holds 3"));
    assert!(with(&one("[4294967296,1073741824]", 4), 4).starts_with("byte 8:"));
    assert!(with(&one("[2]", 4), 4).starts_with("byte 8:"));
    assert!(with("not json", 0).starts_with("byte 8:"));

    let numpy = |bytes: &[u8]| message(npy::array(&mut Cursor::new(bytes)));
    assert!(numpy(b"PK\x03\x04____").contains("does not begin with \\x93NUMPY"));
    let header = |text: &str| {
        let length = (text.len() as u16).to_le_bytes();
        numpy(&[&b"\x93NUMPY\x01\x00"[..], &length, text.as_bytes()].concat())
    };
    let huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (1152921504606846976,), }";
    assert!(header(huge).contains("takes 4611686018427387904 bytes, the file holds 0"));
    let larger = "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 16), }";
    assert!(header(larger).contains("no whole number of bytes below 2^63"));
    assert!(header(&"(".repeat(60_000)).contains("nest too deep"));
    assert!(
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }").contains("not read")
    );

    let model = |bytes: &[u8]| message(gguf::directory(&mut Cursor::new(bytes)));
    assert_eq!(model(b"GGML"), "byte 0: the file does not begin with GGUF");
    assert!(model(b"GGUF\x00\x00\x00\x03").contains("big end first"));
    assert!(model(b"GGUF\x01\x00\x00\x00").contains("version 1 is not read"));
    let start = |tensors: u64, pairs: u64, rest: &[u8]| {
        let counts = [tensors.to_le_bytes(), pairs.to_le_bytes()].concat();
        model(&[&b"GGUF\x03\x00\x00\x00"[..], &counts, rest].concat())
    };
    assert!(start(1 << 60, 0, &[]).contains("do not fit the 8 bytes"));
    assert!(start(0, 1, &[0xff; 20]).contains("but the file ends at byte 44"));
    let text = |t: &[u8]| [&(t.len() as u64).to_le_bytes()[..], t].concat();
    assert!(
        start(0, 1, &[text(b"a\xff"), vec![0; 8]].concat()).contains("byte 33: a key is not UTF-8")
    );
    let pair = [text(b"k"), vec![7, 0, 0, 0, 2]].concat();
    assert!(start(0, 1, &pair).contains("a truth value is 2"));
    let info = |dims: &[u64], ty: u32, offset: u64| {
        let mut bytes = text(b"w");
        bytes.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|d| bytes.extend(d.to_le_bytes()));
        bytes.extend(ty.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes
    };
    let padded = |bytes: Vec<u8>| [bytes, vec![0; 64]].concat();
    assert!(start(1, 0, &padded(info(&[1 << 40, 1 << 40], 0, 0))).starts_with("tensor `w`: shape"));
    assert!(start(1, 0, &padded(info(&[33], 2, 0))).contains("no whole number of 32"));
    assert!(start(1, 0, &padded(info(&[4], 99, 0))).contains("type 99, which is not read"));
    assert!(start(1, 0, &padded(info(&[4], 0, 1 << 40))).contains("beyond the file's end"));
    assert!(start(1, 0, &padded(info(&[4], 0, 3))).contains("no multiple of 32"));
    let twice = [info(&[4], 0, 0), info(&[4], 0, 0)].concat();
    assert!(start(2, 0, &padded(twice)).contains("name occurs twice"));
    let mut other = info(&[4], 0, 0);
    other[8] = b'v';
    assert!(start(2, 0, &padded([info(&[4], 0, 0), other].concat())).contains("overlaps tensor"));
}

#[test]
fn every_truncation_is_refused() {
    for (whole, read) in [
        (
            safetensors_file(),
            (|b| safetensors::directory(&mut Cursor::new(b)).is_ok()) as fn(&[u8]) -> bool,
        ),
        (gguf_file(), |b| gguf::directory(&mut Cursor::new(b)).is_ok()),
        (npy::file(Kind::F32, &[3], &[0; 12]).expect("a file"), |b| {
            npy::array(&mut Cursor::new(b)).is_ok()
        }),
    ] {
        assert!(read(&whole));
        // A GGUF file's last tensor may lack only its padding.
        for end in 0..whole.len() - 32.min(whole.len() / 2) {
            assert!(!read(&whole[..end]), "{end} of {}", whole.len());
        }
    }
    assert!(npz::names(&mut Cursor::new(b"PK")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever bytes are changed, a file is read or refused, and nothing panics.
    #[test]
    fn changed_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        for whole in [safetensors_file(), gguf_file(), npy::file(Kind::F32, &[3], &[0; 12]).expect("a file")] {
            let mut bytes = whole;
            for (at, value) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            let mut file = Cursor::new(bytes);
            if let Ok(directory) = safetensors::directory(&mut file) {
                for entry in directory.entries.values() {
                    entry.read(&mut file).expect("a checked entry lies in the file");
                }
            }
            if let Ok(directory) = gguf::directory(&mut file) {
                for entry in directory.entries.values() {
                    entry.read(&mut file).expect("a checked entry lies in the file");
                }
            }
            if let Ok(array) = npy::array(&mut file) {
                array.read(&mut file).expect("a checked array lies in the file");
            }
        }
    }
}
