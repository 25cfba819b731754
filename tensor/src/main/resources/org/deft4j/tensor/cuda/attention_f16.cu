#include "attention_mma.cuh"
#include "attention_mma_grad.cuh"

// Attention with factors of F16.
ATTENTIONS_MMA(f16)
