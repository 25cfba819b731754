package org.deft4j.tensor.internal.cuda;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.EnumMap;
import java.util.Map;
import java.util.function.BooleanSupplier;

/**
 * The streams of an {@link EmulatedCard}. Usually everything is done when it is asked for; {@link #late} has one stream do its work only
 * when somebody waits for it, and the other as soon as it may: whoever forgot to put the two in order then meets bytes that are not there
 * yet, or not any more.
 */
final class EmulatedStreams {
  private final Map<Card.Stream, Deque<Task>> tasks = new EnumMap<>(Map.of(Card.Stream.COMPUTE, new ArrayDeque<>(), Card.Stream.COPY,
      new ArrayDeque<>()));
  private Card.Stream late;
  private int open;
  private long waits;

  /** Work, and what it waits for. */
  private record Task(BooleanSupplier ready, Runnable work) {}

  /** Counts how often it was recorded, and which of these have come to pass. */
  private final class Place implements Card.Event {
    private long recorded;
    private long passed;
    private boolean closed;

    Place() {
      open++;
    }

    @Override
    public void close() {
      if (closed) {
        throw new IllegalStateException("an event is closed twice");
      }
      closed = true;
      open--;
    }

    Place requireOpen() {
      if (closed) {
        throw new IllegalStateException("an event is used after it was closed");
      }
      return this;
    }
  }

  /** Has {@code stream} do its work as late as it may; null: everything at once. */
  synchronized void late(Card.Stream stream) {
    drain();
    late = stream;
  }

  /** Events that were not closed. */
  synchronized int openEvents() {
    return open;
  }

  /** How often the program waited. */
  synchronized long waits() {
    return waits;
  }

  synchronized void ask(Card.Stream stream, Runnable work) {
    ask(stream, () -> true, work);
  }

  private void ask(Card.Stream stream, BooleanSupplier ready, Runnable work) {
    tasks.get(stream).add(new Task(ready, work));
    if (late == null) {
      drain(() -> tasks.values().stream().allMatch(Deque::isEmpty));
    } else {
      run(other());
    }
  }

  private Card.Stream other() {
    return late == Card.Stream.COPY ? Card.Stream.COMPUTE : Card.Stream.COPY;
  }

  /** As far as it comes; whether that was anywhere. */
  private boolean run(Card.Stream stream) {
    Deque<Task> queue = tasks.get(stream);
    boolean any = false;
    while (!queue.isEmpty() && queue.peek().ready.getAsBoolean()) {
      queue.poll().work.run();
      any = true;
    }
    return any;
  }

  /** Waits for all that was asked. */
  synchronized void drain() {
    waits++;
    drain(() -> tasks.values().stream().allMatch(Deque::isEmpty));
  }

  /** Waits for all that was asked of a stream. */
  synchronized void drain(Card.Stream stream) {
    waits++;
    drain(() -> tasks.get(stream).isEmpty());
  }

  private void drain(BooleanSupplier done) {
    while (!done.getAsBoolean()) {
      boolean any = late != null && run(other());
      if (late == null) {
        any = run(Card.Stream.COMPUTE);
        any |= run(Card.Stream.COPY);
      } else if (!done.getAsBoolean()) {
        Task first = tasks.get(late).peek();
        if (first != null && first.ready.getAsBoolean()) {
          tasks.get(late).poll().work.run();
          any = true;
        }
      }
      if (!any && !done.getAsBoolean()) {
        throw new IllegalStateException("the streams wait for each other");
      }
    }
  }

  synchronized Card.Event event() {
    return new Place();
  }

  synchronized void record(Card.Event event, Card.Stream stream) {
    Place place = ((Place) event).requireOpen();
    long number = ++place.recorded;
    ask(stream, () -> place.passed = Math.max(place.passed, number));
  }

  synchronized void await(Card.Event event, Card.Stream stream) {
    Place place = ((Place) event).requireOpen();
    long number = place.recorded;
    ask(stream, () -> place.passed >= number, () -> {});
  }

  synchronized void await(Card.Event event) {
    Place place = ((Place) event).requireOpen();
    long number = place.recorded;
    waits++;
    drain(() -> place.passed >= number);
  }
}
