//! The kernels of examples/kernels that a C compiler builds: right ones pass, their twins' bugs are named.

use crate::support::{Desk, words};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kernels")
}

fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("started");
    let [stdout, stderr] = [stdout, stderr].map(|b| String::from_utf8(b).expect("UTF-8"));
    assert!(status.success(), "{command:?}: {stdout}{stderr}");
    stdout
}

#[test]
fn the_c_kernel_is_right_and_its_twin_does_not_rescale() {
    let desk = Desk::new();
    desk.ok(&words("golden attention --dtype fp32 --out case"));
    for (defined, name) in [("-DRIGHT", "right"), ("-DBUG", "wrong")] {
        let (source, binary) = (examples().join("attention.c"), desk.path(name));
        let mut compile = Command::new("cc");
        done(compile.args(["-O2", defined, "-o"]).arg(&binary).arg(source).arg("-lm"));
        let out = desk.path(name).with_extension("bin");
        done(Command::new(&binary).arg(desk.path("case")).arg(out));
    }
    let told = desk.ok(&words("validate case --got right.bin --dtype fp32"));
    assert!(told.starts_with("right"), "{told}");
    let run = desk.run(&words("validate case --got wrong.bin --dtype fp32"));
    let cause = "likeliest cause: no rescale of sums when the maximum grows\n";
    assert!(run.code == 1 && run.stdout.contains(cause), "{}", run.stdout);
}

/// `CUDA_EMULATE=1 bash gpu.sh`: the CUDA kernel on a CPU.
#[test]
fn the_cuda_kernel_is_right_and_its_twin_masks_top_left() {
    let desk = Desk::new();
    let cosim = Path::new(env!("CARGO_BIN_EXE_cosim")).parent().expect("a folder");
    let path = format!("{}:{}", cosim.display(), std::env::var("PATH").expect("a path"));
    let mut script = Command::new("bash");
    script.arg(examples().join("gpu.sh")).arg(desk.path("work")).env("PATH", path);
    script.env("CUDA_EMULATE", "1").env("CUDA_VISIBLE_DEVICES", "").env_remove("CXX");
    if Command::new("c++").arg("--version").output().is_err() {
        let output = script.output().expect("started");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(
            output.status.code() == Some(2) && said.contains("no CUDA: no C++ compiler"),
            "{said}"
        );
        return;
    }
    let told = done(&mut script);
    let cause = "likeliest cause: the causal mask is top-left, not bottom-right aligned\n";
    assert!(told.contains("== CUDA\nright by two-reference") && told.contains(cause), "{told}");
    // Other extents: three tiles of queries, a ragged last one, heads of 128, as many key heads.
    let binary = desk.path("work/right");
    desk.ok(&words(
        "golden attention --heads 4 --kv-heads 4 --head-dim 128 --seq 33 --kv-seq 33 --batch 1 --out mha",
    ));
    done(Command::new(binary).arg(desk.path("mha")).arg(desk.path("mha.bin")));
    let told = desk.ok(&words("validate mha --got mha.bin --dtype bf16"));
    assert!(told.starts_with("right"), "{told}");
}
