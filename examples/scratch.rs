use cosim::cost::*; use cosim::hardware::*; use cosim::mapping::*; use cosim::model::*; use cosim::op;
fn arch(id:&str, v:u64,h:u64,l:u64,heads:u64,kv:u64,inner:u64)->Architecture{ let dim=h/heads; Architecture{ id:id.into(),name:id.into(),source:"".into(),vocabulary:v,hidden:h,layers:l,max_context:4096,
 attention:Attention{heads,kv_heads:kv,head_dim:dim,qkv_bias:false,out_bias:false,qk_norm:false,scale:1.0/(dim as f64).sqrt(),softcap:None,windows:vec![None]},
 position:Position::Rope{theta:1e4,rotary_dim:dim,pairing:op::Pairing::Half,scaling:None},ffn:Ffn{inner,activation:op::Activation::Silu,gated:true,bias:false},norm:Norm{kind:op::NormKind::Rms,epsilon:1e-5,unit_offset:false,bias:false,post:false},block:Block::Sequential,head:Head{tied:false,bias:false,softcap:None},embedding:Embedding{scale:None}}}
fn main(){
 let models=[arch("llama-2-7b",32000,4096,32,32,32,11008),arch("llama-3-8b",128256,4096,32,32,8,14336)];
 for m in &models { let g=m.graph(&BuildOptions::default()).unwrap(); let plan=Plan::new(&g,&cosim::dtype::Scheme::sixteen_bit());
  println!("{} params {} weights {:.4} GiB", m.id, plan.footprint.parameters, plan.footprint.weights.total.get()/1024f64.powi(3));
  println!("kv/2048 {} GiB", plan.footprint.kv(1.0,2048).get()/1024f64.powi(3));
  for k in &plan.kernels { println!("   {} x{} {:?}", k.name,k.count, plan.nodes[k.nodes.clone()].iter().map(|n|(n.name.as_str(),n.read_bytes,n.write_bytes)).collect::<Vec<_>>()); }
  for hw in ["a100-sxm-80gb","h100-sxm"] { let h=load(hw,&|n| cosim::hardware::bundled::source(n)).unwrap(); let mach=Machine::compile(&h,Fidelity::Ideal); let e=Estimator::new(&plan,&mach).unwrap();
   for b in [1,16,64,72]{ let r=Request::Decode{batch:b,context:2048}; let s=e.summary(&r).unwrap(); let floor=(s.memory.weights-plan.footprint.weights.embedding_only+s.memory.kv)/mach.levels[mach.dram].bandwidth.unwrap(); println!("{hw} b{b} {:.4} ms floor {:.4} ms +{:.2}% total {:.3} GiB {:?}", s.decode_step.unwrap().get()*1e3, floor.get()*1e3,(s.decode_step.unwrap()/floor-1.0)*100.0,s.memory.total().get()/1024f64.powi(3), e.capacity(&r,&s.memory)); }
   let s=e.summary(&Request::Prefill{batch:1,context:2048}).unwrap(); println!("prefill {:.3}", s.prefill.unwrap().get()*1e3);
   let g2=m.graph(&BuildOptions{fusions:FusionSet::None,..Default::default()}).unwrap(); let p2=Plan::new(&g2,&cosim::dtype::Scheme::sixteen_bit()); let e2=Estimator::new(&p2,&mach).unwrap();
   println!("unfused {:.3}", e2.summary(&Request::Prefill{batch:1,context:2048}).unwrap().prefill.unwrap().get()*1e3);
   let r=Request::Generation{batch:4,prompt:512,output:200};
   let t=std::time::Instant::now(); let mut acc=0.0; for i in 0..100000u64 { acc+=e.summary(&Request::Generation{batch:1+i%64,prompt:100+i%1000,output:50+i%100}).unwrap().total.get(); } println!("est/s {:.0} {acc} {r:?}", 1e5/t.elapsed().as_secs_f64());
  }}
}
