//! Plans a file and draws it: `cargo run -p cullet-pipeline --example plan FILE [NAME=VALUE…] [TARGET…]`.

#![allow(clippy::print_stdout, reason = "it is a program")]

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("which file?")?;
    let (params, targets): (Vec<String>, Vec<String>) =
        arguments.partition(|a| a.contains('=') && !a.contains('['));
    let params: Vec<(String, String)> =
        params.iter().filter_map(|p| p.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let planned = cullet_pipeline::load(&file, &std::fs::read_to_string(&file)?).and_then(|pipeline| {
        print!("{}", pipeline.warnings().render(true));
        pipeline.plan(&params, &targets)
    });
    match planned {
        Ok(plan) => print!("{}", cullet_pipeline::graph::text(&plan)),
        Err(problems) => print!("{}", problems.render(true)),
    }
    Ok(())
}
