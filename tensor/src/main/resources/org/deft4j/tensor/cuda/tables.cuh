// Tensors that one launch goes over (TensorTable.java): a tensor of count elements is the work of the blocks from first on, up to the next one's.

// The row of this block.
template <class Row> DEVICE const Row &own(const Row *rows, i64 count) {
  i64 row = 0;
  i64 beyond = count;
  while (beyond - row > 1) {
    i64 middle = (row + beyond) / 2;
    if (rows[middle].first <= blockIdx.x) {
      row = middle;
    } else {
      beyond = middle;
    }
  }
  return rows[row];
}
