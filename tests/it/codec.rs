//! Number formats as values, against what `ml_dtypes`, `gguf`, `libgguf` and `torchao` compute
//! (tests/golden/formats.py), and their laws.

use cosim::codec::block::BlockError;
use cosim::codec::{Float, Groups, Integer, Mx, Number, Nvfp4, Overflow, ScaleMode, block, slice};
use cosim::dtype::{Block, Format};
use proptest::prelude::*;
use safetensors::SafeTensors;
use std::path::Path;

/// One file of golden vectors.
struct Golden(Vec<u8>);

impl Golden {
    fn open(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/formats");
        Self(std::fs::read(folder.join(name)).expect("committed"))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let file = SafeTensors::deserialize(&self.0).expect("well-formed");
        file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}")).data().to_vec()
    }

    fn f32(&self, name: &str) -> Vec<f32> {
        let bytes = self.bytes(name);
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    fn rms(&self, name: &str) -> f64 {
        let bytes: [u8; 8] = self.bytes(name).try_into().expect("one number");
        f64::from_le_bytes(bytes)
    }

    /// Patterns of one byte, or of two where the format has more than 8 bits.
    fn patterns(&self, name: &str, bits: u32) -> Vec<u32> {
        let bytes = self.bytes(name);
        match bits {
            9.. => {
                bytes.chunks_exact(2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]]))).collect()
            }
            _ => bytes.into_iter().map(u32::from).collect(),
        }
    }
}

/// The values that the script spreads over all exponents.
fn spread(count: u32) -> Vec<f32> {
    let value = |i: u32| {
        let bits = i.wrapping_mul(2_654_435_761);
        let moderate = bits & 0x807f_ffff | (103 + (bits >> 23 & 255) % 48) << 23;
        f32::from_bits(if i.is_multiple_of(2) { bits } else { moderate })
    };
    (0..count).map(value).map(|x| if x.is_nan() { 0.1 } else { x }).collect()
}

fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

/// Formats that `ml_dtypes` or numpy have.
fn published() -> impl Iterator<Item = (&'static str, Float)> {
    Float::ALL.iter().copied().filter(|(name, _)| !["float32", "tf32"].contains(name))
}

#[test]
fn floats_decode_as_ml_dtypes() {
    let golden = Golden::open("floats.safetensors");
    for (name, format) in published() {
        let patterns = golden.patterns(&format!("{name}.patterns"), 16);
        let values = golden.f32(&format!("{name}.values"));
        assert!(patterns.len() >= values.len().min(1 << format.bits()) && values.len() >= 16);
        for (bits, value) in patterns.into_iter().zip(values) {
            let found = format.decode(bits) as f32;
            assert!(same(found, value), "{name} {bits:#x}: {found} is not {value}");
        }
    }
}

#[test]
fn casts_round_as_ml_dtypes() {
    let golden = Golden::open("floats.safetensors");
    let spread = spread(60_000);
    for (name, format) in published() {
        for (kind, values) in
            [("spread", &spread), ("edges", &golden.f32(&format!("{name}.edges")))]
        {
            let cast = golden.patterns(&format!("{name}.{kind}.cast"), format.bits());
            assert_eq!(cast.len(), values.len());
            for (x, bits) in values.iter().zip(cast) {
                let found = format.encode(f64::from(*x), Overflow::Special);
                // numpy keeps the payload of a NaN in fp16.
                let nan = format == Float::FP16 && x.is_nan() && format.decode(bits).is_nan();
                assert!(found == bits || nan, "{name} {x:e}: {found:#x} is not {bits:#x}");
            }
        }
    }
}

#[test]
fn integers_cast_as_ml_dtypes() {
    let golden = Golden::open("floats.safetensors");
    let values = golden.f32("integers");
    let formats = [
        ("int2", Integer::INT2),
        ("int4", Integer::INT4),
        ("uint2", Integer::INT2.unsigned()),
        ("uint4", Integer::INT4.unsigned()),
        ("int8", Integer::INT8),
    ];
    for (name, format) in formats {
        let cast = golden.bytes(&format!("{name}.cast"));
        for (x, expected) in values.iter().zip(cast) {
            let found = format.decode(format.cast(f64::from(*x)));
            assert_eq!(found, i64::from(expected as i8), "{name} {x}");
        }
    }
}

/// Every type of GGUF, with the name in the golden file.
fn types() -> impl Iterator<Item = Block> {
    Block::ALL
        .iter()
        .copied()
        .filter(|b| !b.name().starts_with("mxfp6") && !b.name().starts_with("mxfp8"))
}

fn dequantized(block: Block, bytes: &[u8]) -> Vec<f32> {
    let mut out = vec![0.0; bytes.len() / block.bytes() as usize * block.elements() as usize];
    block::dequantize(block, bytes, &mut out).expect("whole blocks");
    out
}

#[test]
fn blocks_decode_as_gguf() {
    let golden = Golden::open("blocks.safetensors");
    assert_eq!(types().count(), 14);
    for block in types() {
        let values = golden.f32(&format!("{}.values", block.name()));
        let found = dequantized(block, &golden.bytes(&format!("{}.bytes", block.name())));
        assert_eq!(found.len(), values.len());
        for (i, (found, value)) in found.iter().zip(&values).enumerate() {
            assert!(same(*found, *value), "{} {i}: {found} is not {value}", block.name());
        }
    }
}

const EXACT: [Block; 6] =
    [Block::Q4_0, Block::Q4_1, Block::Q5_0, Block::Q5_1, Block::Q8_0, Block::Mxfp4];

#[test]
fn blocks_encode_as_gguf() {
    let golden = Golden::open("blocks.safetensors");
    let hard = golden.f32("hard");
    for block in EXACT {
        let found = block::quantize(block, &hard).expect("whole blocks");
        assert!(found == golden.bytes(&format!("{}.hard", block.name())), "{}", block.name());
    }
}

/// The searched encodings are held to the error of ggml's own encoder.
#[test]
fn searched_blocks_are_as_near_as_libggufs() {
    let golden = Golden::open("blocks.safetensors");
    for block in types().filter(|b| !EXACT.contains(b) && *b != Block::Nvfp4) {
        for set in ["gaussian", "heavy", "rows"] {
            let values = golden.f32(set);
            let found = dequantized(block, &block::quantize(block, &values).expect("whole blocks"));
            let off = values.iter().zip(found).map(|(x, y)| (f64::from(*x) - f64::from(y)).powi(2));
            let rms = (off.sum::<f64>() / values.len() as f64).sqrt();
            let ratio = rms / golden.rms(&format!("{}.{set}.rms", block.name()));
            assert!((0.5..1.0).contains(&ratio), "{} {set}: {ratio}", block.name());
        }
    }
}

const ELEMENTS: [(&str, Float); 5] = [
    ("float8_e4m3fn", Float::E4M3FN),
    ("float8_e5m2", Float::E5M2),
    ("float6_e3m2fn", Float::E3M2),
    ("float6_e2m3fn", Float::E2M3),
    ("float4_e2m1fn", Float::E2M1),
];

const MODES: [(&str, ScaleMode); 4] = [
    ("floor", ScaleMode::Floor),
    ("rceil", ScaleMode::RoundUp),
    ("ceil", ScaleMode::Ceil),
    ("even", ScaleMode::Even),
];

#[test]
fn microscaling_is_torchaos() {
    let golden = Golden::open("microscaling.safetensors");
    let values = golden.f32("values");
    for (name, element) in ELEMENTS {
        for (mode_name, mode) in MODES {
            let at = |part: &str| format!("{name}.{mode_name}.{part}");
            let found = Mx { element, mode }.quantize(&values);
            let [scales, codes] = ["scales", "codes"].map(|part| golden.bytes(&at(part)));
            assert!(found == Groups { scales, codes }, "{name} {mode_name}");
        }
        let floor = Mx { element, mode: ScaleMode::Floor };
        let expected = golden.f32(&format!("{name}.floor.values"));
        assert!(floor.round(&values).iter().zip(expected).all(|(x, y)| same(*x, y)), "{name}");
    }
}

#[test]
fn nvfp4_is_torchaos() {
    let golden = Golden::open("microscaling.safetensors");
    let values = &golden.f32("values")[..12 * 256];
    let most = values.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    for (name, format) in [("one", Nvfp4 { tensor: None }), ("tensor", Nvfp4::for_largest(most))] {
        let found = format.quantize(values);
        let [scales, codes] =
            ["scales", "codes"].map(|p| golden.bytes(&format!("nvfp4.{name}.{p}")));
        let expected = golden.f32(&format!("nvfp4.{name}.values"));
        let values = format.dequantize(&found);
        assert!(found == Groups { scales, codes }, "{name}");
        assert!(values.iter().zip(expected).all(|(x, y)| same(*x, y)), "{name}");
    }
}

#[test]
fn blocks_refuse_what_is_no_block() {
    let mut out = [0.0; 32];
    assert!(block::dequantize(Block::Q4_0, &[0; 17], &mut out).is_err());
    assert!(block::dequantize(Block::Q4_0, &[0; 18], &mut out[..31]).is_err());
    assert!(block::dequantize(Block::Nvfp4, &[0; 18], &mut out).is_err());
    assert!(block::dequantize(Block::Mxfp8E4m3, &[0; 33], &mut out).is_err());
    assert!(block::quantize(Block::Q4K, &out).is_err());
}

/// The others take them as the package does.
#[test]
fn searched_blocks_refuse_what_they_cannot_hold() {
    for block in types().filter(|b| !EXACT.contains(b)) {
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e9] {
            let mut values = [1.5; 512];
            values[300] = wrong;
            let refused = BlockError::Range { name: block.name(), index: 300 };
            assert_eq!(block::quantize(block, &values), Err(refused), "{wrong}");
        }
    }
    assert!(block::quantize(Block::Nvfp4, &[2688.0; 64]).is_ok());
    assert!(block::quantize(Block::Nvfp4, &[2689.0; 64]).is_err());
}

#[test]
fn zeros_and_constants_stay_what_they_are() {
    for block in types() {
        for x in [0.0, -3.0, 1.0, 0.0625] {
            let bytes = block::quantize(block, &[x; 512]).expect("whole blocks");
            let off =
                dequantized(block, &bytes).iter().fold(0.0_f32, |most, y| most.max((x - y).abs()));
            let most = match block {
                // Powers of two times e2m1 leave out what lies between 4 and 6.
                Block::Mxfp4 => 0.2,
                // Scales of 2^-7 are subnormal.
                Block::Nvfp4 => 0.07,
                _ => 0.04,
            };
            assert!(off <= most * x.abs(), "{} of {x} is off by {off}", block.name());
        }
    }
}

fn float() -> impl Strategy<Value = Float> {
    prop::sample::select(Float::ALL).prop_map(|(_, format)| format)
}

fn overflow() -> impl Strategy<Value = Overflow> {
    prop::sample::select(vec![Overflow::Saturate, Overflow::Special])
}

/// Doubles of any pattern, and of the exponents that small formats have.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (-1.0..1.0, -160..160).prop_map(|(x, e): (f64, i32)| x * f64::from(e).exp2()),
    ]
}

proptest! {
    #[test]
    fn rounding_twice_is_rounding_once(format in float(), overflow in overflow(), x in number()) {
        let once = format.round(x, overflow);
        let twice = format.round(once, overflow);
        prop_assert!(once.to_bits() == twice.to_bits() || once.is_nan() && twice.is_nan());
    }

    #[test]
    fn rounding_keeps_the_order(format in float(), x in number(), y in number()) {
        let [a, b] = [x, y].map(|x| format.round(x, Overflow::Saturate));
        prop_assert!(!(x <= y && a > b), "{x} <= {y} but {a} > {b}");
    }

    #[test]
    fn no_number_is_nearer(x in -8.0..8.0_f64, format in float()) {
        prop_assume!(format != Float::E8M0 && format.bits() <= 8);
        let error = (format.round(x, Overflow::Saturate) - x).abs();
        for bits in 0..1 << format.bits() {
            let other = format.decode(bits);
            prop_assert!(other.is_nan() || (other - x).abs() >= error, "{x}: {other}");
        }
    }

    #[test]
    fn slices_round_as_single_numbers(format in float(), overflow in overflow(), bits in any::<[u32; 5]>()) {
        let mut values = bits.map(f32::from_bits);
        slice::round(format, &mut values, overflow);
        for (bits, found) in bits.into_iter().zip(values) {
            let x = f64::from(f32::from_bits(bits));
            prop_assert!(same(found, format.round(x, overflow) as f32), "{x:e}");
        }
    }

    #[test]
    fn any_bits_decode_to_a_number_of_the_format(bits in any::<u32>(), x in number()) {
        for &format in Format::ALL {
            let number = Number::of(format);
            let value = number.decode(bits);
            prop_assert!(value.is_nan() || value.is_infinite() || value < 0.0 || value <= number.largest());
            let code = number.encode(x, Overflow::Special);
            prop_assert!(u64::from(code) < 1 << number.bits());
        }
    }

    #[test]
    fn any_numbers_fill_blocks(bits in prop::collection::vec(any::<u32>(), 256)) {
        let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        let moderate: Vec<f32> = values.iter().map(|x| if x.is_nan() { 1.0 } else { x % 256.0 }).collect();
        for block in types() {
            match block::quantize(block, &values) {
                Ok(bytes) => prop_assert_eq!(dequantized(block, &bytes).len(), 256),
                Err(e) => prop_assert!(!EXACT.contains(&block) && values.iter().any(|x| x.is_nan() || x.abs() > 2e3), "{e}"),
            }
            let bytes = block::quantize(block, &moderate).expect("numbers that any scale holds");
            let most = moderate.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            for (x, y) in moderate.iter().zip(dequantized(block, &bytes)) {
                prop_assert!((x - y).abs() <= most, "{}: {} became {}", block.name(), x, y);
            }
        }
        for (_, element) in ELEMENTS {
            for (_, mode) in MODES {
                prop_assert_eq!(Mx { element, mode }.round(&values).len(), 256);
            }
        }
    }
}
