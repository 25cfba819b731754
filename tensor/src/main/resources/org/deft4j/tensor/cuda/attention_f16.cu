#include "attention_mma.cuh"

// Attention with factors of F16.
ATTENTIONS_MMA(f16)
