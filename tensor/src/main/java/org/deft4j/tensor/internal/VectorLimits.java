package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * The limits of the vector kernels. A unit that starts p multiply-adds in a cycle and needs l cycles for each is busy with
 * p l chains: 8 on recent x86, 16 on some ARM. 12 chains and two constants fit in 16 registers, 24 in 32.
 */
final class VectorLimits implements Limits {
  @Override
  public List<MultiplyAdds> multiplyAdds() {
    return List.of(new MultiplyAdds(2.0 * 12 * Simd.LANES, VectorLimits::twelve),
        new MultiplyAdds(2.0 * 24 * Simd.LANES, VectorLimits::twentyFour));
  }

  private static float twelve(int steps) {
    FloatVector x = FloatVector.broadcast(Simd.FLOATS, 0.999f);
    FloatVector y = FloatVector.broadcast(Simd.FLOATS, 0.001f);
    FloatVector a = x;
    FloatVector b = a.add(y);
    FloatVector c = b.add(y);
    FloatVector d = c.add(y);
    FloatVector e = d.add(y);
    FloatVector f = e.add(y);
    FloatVector g = f.add(y);
    FloatVector h = g.add(y);
    FloatVector i = h.add(y);
    FloatVector j = i.add(y);
    FloatVector k = j.add(y);
    FloatVector l = k.add(y);
    for (int step = 0; step < steps; step++) {
      a = x.fma(y, a);
      b = x.fma(y, b);
      c = x.fma(y, c);
      d = x.fma(y, d);
      e = x.fma(y, e);
      f = x.fma(y, f);
      g = x.fma(y, g);
      h = x.fma(y, h);
      i = x.fma(y, i);
      j = x.fma(y, j);
      k = x.fma(y, k);
      l = x.fma(y, l);
    }
    return a.add(b).add(c).add(d).add(e).add(f).add(g).add(h).add(i).add(j).add(k).add(l).lane(0);
  }

  private static float twentyFour(int steps) {
    FloatVector x = FloatVector.broadcast(Simd.FLOATS, 0.999f);
    FloatVector y = FloatVector.broadcast(Simd.FLOATS, 0.001f);
    FloatVector a = x;
    FloatVector b = a.add(y);
    FloatVector c = b.add(y);
    FloatVector d = c.add(y);
    FloatVector e = d.add(y);
    FloatVector f = e.add(y);
    FloatVector g = f.add(y);
    FloatVector h = g.add(y);
    FloatVector i = h.add(y);
    FloatVector j = i.add(y);
    FloatVector k = j.add(y);
    FloatVector l = k.add(y);
    FloatVector m = l.add(y);
    FloatVector n = m.add(y);
    FloatVector o = n.add(y);
    FloatVector p = o.add(y);
    FloatVector q = p.add(y);
    FloatVector r = q.add(y);
    FloatVector s = r.add(y);
    FloatVector t = s.add(y);
    FloatVector u = t.add(y);
    FloatVector v = u.add(y);
    FloatVector w = v.add(y);
    FloatVector z = w.add(y);
    for (int step = 0; step < steps; step++) {
      a = x.fma(y, a);
      b = x.fma(y, b);
      c = x.fma(y, c);
      d = x.fma(y, d);
      e = x.fma(y, e);
      f = x.fma(y, f);
      g = x.fma(y, g);
      h = x.fma(y, h);
      i = x.fma(y, i);
      j = x.fma(y, j);
      k = x.fma(y, k);
      l = x.fma(y, l);
      m = x.fma(y, m);
      n = x.fma(y, n);
      o = x.fma(y, o);
      p = x.fma(y, p);
      q = x.fma(y, q);
      r = x.fma(y, r);
      s = x.fma(y, s);
      t = x.fma(y, t);
      u = x.fma(y, u);
      v = x.fma(y, v);
      w = x.fma(y, w);
      z = x.fma(y, z);
    }
    return a.add(b).add(c).add(d).add(e).add(f).add(g).add(h).add(i).add(j).add(k).add(l).add(m).add(n).add(o).add(p)
        .add(q).add(r).add(s).add(t).add(u).add(v).add(w).add(z).lane(0);
  }

  @Override
  public long read(MemorySegment memory, long from, long to) {
    IntVector a = IntVector.zero(Simd.INTS);
    IntVector b = a;
    IntVector c = a;
    IntVector d = a;
    for (long at = from; at < to; at += 4L * Simd.BYTES) {
      a = a.add(IntVector.fromMemorySegment(Simd.INTS, OffHeap.known(memory), at, Simd.ORDER));
      b = b.add(IntVector.fromMemorySegment(Simd.INTS, OffHeap.known(memory), at + Simd.BYTES, Simd.ORDER));
      c = c.add(IntVector.fromMemorySegment(Simd.INTS, OffHeap.known(memory), at + 2L * Simd.BYTES, Simd.ORDER));
      d = d.add(IntVector.fromMemorySegment(Simd.INTS, OffHeap.known(memory), at + 3L * Simd.BYTES, Simd.ORDER));
    }
    return a.add(b).add(c).add(d).reduceLanes(VectorOperators.ADD);
  }
}
