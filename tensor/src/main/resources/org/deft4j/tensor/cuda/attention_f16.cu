#include "attention_mma.cuh"
#include "attention_mma_grad.cuh"

// Attention of float32 with factors of F16.
ATTENTIONS_MMA(f16, f16, float)
