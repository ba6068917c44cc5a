//! A file of weights is read tensor by tensor as a step needs them, never as a whole.

use crate::support::vectors::{described, golden};
use cosim::exec::Fast;
use cosim::session::Session;
use cosim::tensor::Logits;
use cosim::weights::Checkpoint;
use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom};
use std::rc::Rc;

/// A file that counts the bytes that are read of it.
struct Counted {
    file: File,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        let n = self.file.read(to)?;
        self.read.set(self.read.get() + n as u64);
        Ok(n)
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.file.seek(to)
    }
}

#[test]
fn each_tensor_is_read_when_a_step_needs_it() {
    let folder = golden("models/llama");
    let (arch, layout, graphs) = described(&folder).expect("a model");
    let file = File::open(folder.join("model.safetensors")).expect("weights");
    let size = file.metadata().expect("there").len();
    let read = Rc::new(Cell::new(0));
    let counted = Counted { file, read: Rc::clone(&read) };
    let named = vec![("model.safetensors".to_owned(), counted)];
    let checkpoint = Checkpoint::safetensors(named, (arch.clone(), layout)).expect("tensors");
    checkpoint.check(graphs.parts().map(|(_, g)| g)).expect("every tensor has its place");
    // The directory, and no tensor yet.
    let directory = read.take();
    assert!(directory < 3000, "{directory} of {size}");
    let weights = size - directory;
    let kernels = Fast::default();
    for (room, of_each_step) in [(0, [weights, weights]), (usize::MAX, [weights, 0])] {
        let mut session = Session::<f32>::new((&arch, &graphs), &checkpoint, &kernels, room);
        for expected in of_each_step {
            session.step(&[vec![1, 2, 3]], Logits::Last, &|_| false).expect("runs");
            assert_eq!(read.take(), expected, "room for {room}");
        }
    }
}
