#include "attention_mma.cuh"
#include "attention_mma_grad.cuh"

// Attention of float32 with factors of BF16.
ATTENTIONS_MMA(bf16, bf16, float)
