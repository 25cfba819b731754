#include "attention_mma.cuh"

// Attention with factors of BF16.
ATTENTIONS_MMA(bf16)
