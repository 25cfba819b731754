package org.deft4j.tensor.internal.cuda;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;
import org.deft4j.tensor.MemoryException;
import org.deft4j.tensor.MemoryPool;

/**
 * A range of a card's memory, of fixed size, through which tensors go that lie in this process's memory: before an operation their bytes are
 * copied here, on the stream for copies, and what will be used next ({@link UseOrder}) is on its way while the operation runs. What makes
 * room is what will be used last, as far as is foreseen, else what was used longest ago; it is not copied back, for it has not changed.
 *
 * <pre>
 *   copies    | upload b      | upload c            | upload d
 *   computing           a     |               b     |         c
 * </pre>
 *
 * <p>An operation waits for the copies of what it uses, and a copy for the operations that used what it overwrites: by events, on the card.
 * This process waits only where it changes or gives back what a copy may still read.
 */
public final class Window implements AutoCloseable {
  /** Bytes of what is used next that are copied ahead, at most; half of the window if that is less. More would drive out what stays. */
  private static final long AHEAD = 512L << 20;

  /** Uses that are looked ahead at most. */
  private static final int FAR = 256;

  private final Card card;
  private final long address;
  private final long bytes;
  /** From the first byte to the last. */
  private final List<Place> places = new ArrayList<>();
  private final UseOrder order = new UseOrder();
  private final Deque<Card.Event> idle = new ArrayDeque<>();
  /** Behind the latest copy. */
  private final Card.Event copied;
  /** Held from {@link #enter} to {@link #leave}. */
  private final ReentrantLock lock = new ReentrantLock();
  private long tick;
  private long looks;
  private long uploads;
  private long uploadedBytes;

  /** Of {@code bytes} bytes of the card's memory at {@code address}, a multiple of 256. */
  public Window(Card card, long address, long bytes) {
    this.card = card;
    this.address = address;
    this.bytes = bytes;
    this.copied = card.event();
    places.add(new Place(address, bytes));
  }

  /** Its size. */
  public long bytes() {
    return bytes;
  }

  /** Copies so far. */
  public long uploads() {
    return uploads;
  }

  /** Bytes that were copied so far. */
  public long uploadedBytes() {
    return uploadedBytes;
  }

  /**
   * Has all of {@code used} here, at {@link Kept#address}, for what this thread asks of the card until {@link #leave}. What is in {@code
   * overwritten} is about to be filled whole, and not copied.
   *
   * @throws MemoryException if they do not fit in together
   */
  public void enter(Set<Kept> used, Set<Kept> overwritten) {
    lock.lock();
    Set<Kept> pinned = new HashSet<>();
    try {
      for (Kept kept : used) {
        order.used(kept);
        if (kept.place != null) {
          pin(kept, pinned);
        }
      }
      for (Kept kept : used) {
        if (kept.place == null) {
          if (!take(kept, UseOrder.NONE)) {
            gather(used, pinned, overwritten);
            break;
          }
          fill(kept, overwritten);
          pin(kept, pinned);
        }
      }
      used.forEach(this::awaitCopy);
    } catch (RuntimeException | Error e) {
      pinned.forEach(kept -> kept.place.pins--);
      lock.unlock();
      throw e;
    }
  }

  private static void pin(Kept kept, Set<Kept> pinned) {
    kept.place.pins++;
    pinned.add(kept);
  }

  /** The ranges between what the operation uses are too small for the rest of it: it gets all of them anew, one after the other. */
  private void gather(Set<Kept> used, Set<Kept> pinned, Set<Kept> overwritten) {
    for (Kept kept : pinned) {
      kept.place.pins--;
      if (kept.place.pins == 0) {
        evict(kept.place);
      }
    }
    pinned.clear();
    for (Kept kept : used) {
      if (kept.place == null) {
        if (!take(kept, UseOrder.NONE)) {
          throw new MemoryException("what one operation uses of the weights that are kept in the machine's memory, "
              + MemoryPool.describe(used.stream().mapToLong(Kept::room).sum()) + ", does not fit into the " + MemoryPool.describe(bytes)
              + " of the card that they go through; give them more");
        }
        fill(kept, overwritten);
      }
      pin(kept, pinned);
    }
  }

  private void awaitCopy(Kept kept) {
    if (!kept.place.isAwaited) {
      card.await(kept.place.loaded, Card.Stream.COMPUTE);
      kept.place.isAwaited = true;
    }
  }

  /** Ends what {@link #enter} began, for the same tensors, after all was asked of the card; then copies ahead. */
  public void leave(Set<Kept> used) {
    try {
      tick++;
      for (Kept kept : used) {
        Place place = kept.place;
        place.tick = tick;
        if (place.used == null) {
          place.used = event();
        }
        card.record(place.used, Card.Stream.COMPUTE);
        place.pins--;
      }
      lookAhead();
    } finally {
      lock.unlock();
    }
  }

  /** Copies what is used next, nearest first, while there is room from what is used after it. */
  private void lookAhead() {
    looks++;
    long most = Math.min(AHEAD, bytes / 2);
    long seen = 0;
    Kept kept = order.ahead(0);
    for (int k = 0; kept != null && seen <= most && k < FAR; kept = order.ahead(++k)) {
      if (kept.looked == looks || kept.isGone) {
        continue;
      }
      kept.looked = looks;
      seen += kept.room();
      if (kept.place == null && (k == 0 || seen <= most)) {
        if (!take(kept, k)) {
          return;
        }
        fill(kept, Set.of());
      }
    }
  }

  /**
   * Gives {@code kept} a place, free or that of tensors next to each other that are used later than {@code soonest} uses from now and by no
   * operation now; of several, that of those used last, and of these longest ago. False if there is none.
   */
  private boolean take(Kept kept, int soonest) {
    int[] until = places.stream().mapToInt(place -> place.isFree() ? UseOrder.NEVER : order.until(place.kept)).toArray();
    int found = -1;
    int foundUntil = soonest;
    long foundTick = 0;
    for (int i = 0; i < until.length; i++) {
      long room = 0;
      int first = UseOrder.NEVER;
      long latest = -1;
      for (int j = i; j < until.length && room < kept.room() && places.get(j).pins == 0 && first > soonest; j++) {
        room += places.get(j).size;
        first = Math.min(first, until[j]);
        latest = Math.max(latest, places.get(j).tick);
      }
      boolean better = first > foundUntil || (found >= 0 && first == foundUntil && latest < foundTick);
      if (room >= kept.room() && first > soonest && better) {
        found = i;
        foundUntil = first;
        foundTick = latest;
      }
    }
    if (found < 0) {
      return false;
    }
    cut(found, kept);
    return true;
  }

  /** Makes the places from {@code index} on, as far as they are needed, one of {@code kept} and a free rest. */
  private void cut(int index, Kept kept) {
    Place first = places.get(index);
    evict(first);
    while (first.size < kept.room()) {
      Place next = places.remove(index + 1);
      evict(next);
      first.size += next.size;
    }
    long rest = first.size - kept.room();
    if (rest > 0) {
      places.add(index + 1, new Place(first.address + kept.room(), rest));
      first.size = kept.room();
    }
    first.kept = kept;
    first.loaded = event();
    first.isAwaited = false;
    first.used = null;
    first.tick = tick;
    kept.place = first;
  }

  /** Copies the bytes to the place, which is free of others once the copies before are done. */
  private void fill(Kept kept, Set<Kept> overwritten) {
    if (!overwritten.contains(kept)) {
      card.uploadAside(kept.memory(), kept.place.address);
      card.record(copied, Card.Stream.COPY);
      kept.isRead = true;
      uploads++;
      uploadedBytes += kept.memory().byteSize();
    }
    card.record(kept.place.loaded, Card.Stream.COPY);
  }

  /** Frees a place: copies that are asked for from now on come after what uses it. */
  private void evict(Place place) {
    if (place.isFree()) {
      return;
    }
    if (place.used != null) {
      card.await(place.used, Card.Stream.COPY);
      idle.push(place.used);
    }
    idle.push(place.loaded);
    place.kept.place = null;
    place.kept = null;
    place.tick = -1;
  }

  private Card.Event event() {
    return idle.isEmpty() ? card.event() : idle.pop();
  }

  /**
   * Waits until no copy reads the memory of {@code kept}, and forgets what was copied: before it is changed in this process, or given back.
   *
   * @param gone whether it is not used any more
   */
  public void forget(Kept kept, boolean gone) {
    lock.lock();
    try {
      kept.isGone |= gone;
      if (kept.isRead) {
        card.await(copied);
        kept.isRead = false;
      }
      if (kept.place != null) {
        evict(kept.place);
      }
    } finally {
      lock.unlock();
    }
  }

  /** Waits for all that uses it; whoever gave the memory may have it back. */
  @Override
  public void close() {
    lock.lock();
    try {
      card.synchronize();
      card.await(copied);
      for (Place place : places) {
        evict(place);
      }
      places.clear();
      places.add(new Place(address, bytes));
      idle.forEach(Card.Event::close);
      idle.clear();
      copied.close();
    } finally {
      lock.unlock();
    }
  }
}
