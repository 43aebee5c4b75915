//! Classes, and the class that stands for none.

use crate::inputs::check_range;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Error, Result};
use tweedie_torch::parameters::{Embedding, Linear, Scope};
use tweedie_torch::rng::Generator;

/// A class as a vector: a table with one row more than there are classes, then SiLU and linear
/// (smalldiffusion's `CondEmbedderLabel`, parameters `embeddings` and `mlp.1`), or the table alone
/// (DiT's).
///
/// The last row is the null class. In training every label is replaced by it with probability
/// `dropout_prob`, so that one network learns both branches of classifier-free guidance
/// (arXiv:2207.12598).
#[derive(Debug)]
pub struct ClassEmbedder {
    embeddings: Embedding,
    mlp: Option<Linear>,
    num_classes: i64,
    dropout_prob: f64,
}

/// How a class becomes a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassEmbedding {
    /// A table, SiLU, linear: smalldiffusion's.
    #[default]
    Mlp,
    /// A table: the paper's.
    Table,
}

impl ClassEmbedding {
    /// The network of it for so many classes, with `hidden_size` numbers at its end; none for 0.
    pub fn build(
        self,
        p: &mut Scope<'_>,
        hidden_size: i64,
        num_classes: i64,
        dropout_prob: f64,
    ) -> tweedie_torch::Result<Option<ClassEmbedder>> {
        let new = match (num_classes, self) {
            (0, _) => return Ok(None),
            (_, ClassEmbedding::Mlp) => ClassEmbedder::new,
            (_, ClassEmbedding::Table) => ClassEmbedder::table,
        };
        new(p, hidden_size, num_classes, dropout_prob).map(Some)
    }
}

impl ClassEmbedder {
    /// The table alone, with DiT's initial weights.
    pub fn table(
        p: &mut Scope<'_>,
        hidden_size: i64,
        num_classes: i64,
        dropout_prob: f64,
    ) -> tweedie_torch::Result<Self> {
        let embeddings = Embedding::new(&mut p.sub("embeddings"), num_classes + 1, hidden_size)?;
        Ok(ClassEmbedder { embeddings, mlp: None, num_classes, dropout_prob })
    }

    /// An embedding of `num_classes` classes in `hidden_size` numbers.
    pub fn new(
        p: &mut Scope<'_>,
        hidden_size: i64,
        num_classes: i64,
        dropout_prob: f64,
    ) -> tweedie_torch::Result<Self> {
        Ok(ClassEmbedder {
            embeddings: Embedding::new(&mut p.sub("embeddings"), num_classes + 1, hidden_size)?,
            mlp: Some(Linear::new(&mut p.sub("mlp.1"), hidden_size, hidden_size, true)?),
            num_classes,
            dropout_prob,
        })
    }

    /// The class that stands for none: the number of classes.
    pub fn null_class(&self) -> i64 {
        self.num_classes
    }

    /// The null class for `batch` samples.
    pub fn null_cond(&self, batch: i64) -> Cond {
        Cond::class_of(self.num_classes, batch, self.device())
    }

    /// The labels of a condition, checked: `[batch]`, each a class or the null class. No condition
    /// is the null class.
    pub fn labels(&self, cond: Option<&Cond>, batch: i64) -> Result<Tensor> {
        if cond.is_some_and(|c| c.context.is_some() || c.vector.is_some()) {
            return Err(Error::Condition("this model takes classes and nothing else".into()));
        }
        self.checked(cond.and_then(|c| c.class.as_ref()), batch)
    }

    /// Labels, checked: `[batch]`, each a class or the null class, which none means for all.
    pub(crate) fn checked(&self, labels: Option<&Tensor>, batch: i64) -> Result<Tensor> {
        let Some(labels) = labels else {
            return Ok(Tensor::full([batch], self.num_classes, (Kind::Int64, self.device())));
        };
        if labels.size() != [batch] {
            return Err(Error::shape("class labels", format!("[{batch}]"), &labels.size()));
        }
        if labels.kind() != Kind::Int64 {
            let found = format!("{:?}", labels.kind());
            return Err(Error::invalid("the kind of class labels", found, "Int64"));
        }
        check_range(labels, self.num_classes + 1, |label| {
            let n = self.num_classes;
            let expected = format!("0 to {} (the model has {n} classes; {n} is none)", n - 1);
            Error::invalid("class", label, expected)
        })?;
        Ok(labels.to_device(self.device()))
    }

    /// Labels as in training: each is dropped where a uniform number is below `dropout_prob`.
    /// One number is drawn for each label, as `torch.rand(batch)` would.
    pub fn drop(&self, labels: &Tensor, rng: &mut Generator) -> Result<Tensor> {
        let uniform = rng.uniform(&labels.size(), Kind::Float, 0.0, 1.0)?;
        let dropped = uniform.lt(self.dropout_prob).to_device(labels.device());
        Ok(labels.masked_fill(&dropped, self.num_classes))
    }

    /// `[batch]` labels that were checked to `[batch, hidden_size]`.
    pub fn forward(&self, labels: &Tensor) -> Tensor {
        let embedded = self.embeddings.forward(labels);
        match &self.mlp {
            Some(mlp) => mlp.forward(&embedded.silu()),
            None => embedded,
        }
    }

    /// Its table, and its linear layer if it has one, for networks that initialise them anew.
    pub(crate) fn parts(&self) -> (&Embedding, Option<&Linear>) {
        (&self.embeddings, self.mlp.as_ref())
    }

    fn device(&self) -> Device {
        self.embeddings.weight.device()
    }
}
