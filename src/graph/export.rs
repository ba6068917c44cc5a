//! The graph as DOT and as JSON.

use super::Graph;
use super::node::{Kind, NodeId, Source};
use serde_json::{Value, json};
use std::fmt::Write;

impl Graph {
    /// Graphviz DOT: a cluster per region, a box per operator, kernels by color.
    pub fn to_dot(&self) -> String {
        let mut dot = String::from(
            "digraph model {\n  rankdir=TB; node [fontname=Helvetica, fontsize=10];\n  edge [fontname=Helvetica, fontsize=9];\n",
        );
        for (number, region) in self.regions().iter().enumerate() {
            let members = self.nodes().filter(|(_, n)| n.region.0 == number);
            if region.carry.is_some() {
                let _ = writeln!(
                    dot,
                    "  subgraph cluster_{number} {{ label=\"{} x{}\"; style=rounded;",
                    region.name, region.count
                );
            }
            for (id, _) in members {
                let _ = writeln!(dot, "    {}", self.dot_node(id));
            }
            if region.carry.is_some() {
                dot.push_str("  }\n");
            }
        }
        for (from, to, _) in self.edges() {
            let ty = self.node(from).ty;
            let style = if self.stays_on_chip(from, to) { ", style=dashed" } else { "" };
            let (from, to) = (from.index(), to.index());
            let _ = writeln!(dot, "  n{from} -> n{to} [label=\"{ty}\"{style}];");
        }
        for carry in self.regions().iter().filter_map(|r| r.carry) {
            let (back, entry) = (carry.back.index(), carry.entry.index());
            let _ = writeln!(dot, "  n{back} -> n{entry} [style=dotted, constraint=false];");
        }
        dot.push_str("}\n");
        dot
    }

    fn dot_node(&self, id: NodeId) -> String {
        let node = self.node(id);
        let (shape, what) = match &node.kind {
            Kind::Source(Source::Weight) => ("cylinder", "weight"),
            Kind::Source(Source::Cache) => ("cylinder", "KV cache"),
            Kind::Source(Source::Input) => ("invhouse", "input"),
            Kind::Carry => ("circle", "carried"),
            Kind::Apply(op) => ("box", op.name()),
        };
        let kernel = node.fused.as_ref().map_or(String::new(), |(name, _)| format!("\\n<{name}>"));
        format!("n{} [shape={shape}, label=\"{}\\n{what}{kernel}\"];", id.index(), node.name)
    }

    /// Nodes, regions, kernels and outputs as JSON.
    pub fn to_json(&self) -> Value {
        let nodes: Vec<Value> = self.nodes().map(|(id, _)| self.json_node(id)).collect();
        let regions = self.regions().iter().map(|r| {
            json!({
                "name": r.name, "count": r.count, "layers": r.layers, "first_layer": r.first_layer,
                "carry": r.carry.map(|c| json!({"entry": c.entry.index(), "back": c.back.index()})),
            })
        });
        let kernels = self.kernels().into_iter().map(|k| {
            let nodes: Vec<usize> = k.nodes.iter().map(|n| n.index()).collect();
            json!({"name": k.name, "count": k.count, "nodes": nodes})
        });
        json!({
            "regions": regions.collect::<Vec<_>>(),
            "nodes": nodes,
            "kernels": kernels.collect::<Vec<_>>(),
            "outputs": self.outputs().iter().map(|o| o.index()).collect::<Vec<_>>(),
        })
    }

    fn json_node(&self, id: NodeId) -> Value {
        let node = self.node(id);
        let (kind, formula) = match &node.kind {
            Kind::Source(Source::Weight) => ("weight", None),
            Kind::Source(Source::Cache) => ("cache", None),
            Kind::Source(Source::Input) => ("input", None),
            Kind::Carry => ("carry", None),
            Kind::Apply(op) => (op.name(), Some(op.formula())),
        };
        json!({
            "id": id.index(), "name": node.name, "kind": kind, "formula": formula,
            "rows": node.ty.rows.to_string(), "width": node.ty.width,
            "region": node.region.0, "layer": node.layer,
            "operands": self.operands(id).iter().map(|o| o.index()).collect::<Vec<_>>(),
            "kernel": node.fused.as_ref().map(|(name, _)| name),
        })
    }

    /// Whether both ends of an edge run in one kernel, so that the value need not be read back.
    pub fn stays_on_chip(&self, value: NodeId, reader: NodeId) -> bool {
        let kernel = |id: NodeId| self.node(id).fused.as_ref().map(|(_, first)| *first);
        let cached = matches!(self.node(value).ty.role, crate::tensor::Role::KvCache { .. });
        !cached && kernel(value).is_some() && kernel(value) == kernel(reader)
    }
}
