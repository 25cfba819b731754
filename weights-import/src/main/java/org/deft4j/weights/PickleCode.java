package org.deft4j.weights;

/** The opcodes (CPython's {@code pickletools}) that torch.save writes for a dict of tensors in the protocols 2 to 5. */
final class PickleCode {
  /** {@code n}: the protocol, at the start only. */
  static final int PROTO = 0x80;
  /** {@code n[8]}: as many bytes follow in one piece. */
  static final int FRAME = 0x95;
  /** The end; the stack holds the result. */
  static final int STOP = '.';
  /** Marks the stack for {@link #TUPLE} and {@link #SETITEMS}. */
  static final int MARK = '(';

  /** None. */
  static final int NONE = 'N';
  /** True. */
  static final int NEWTRUE = 0x88;
  /** False. */
  static final int NEWFALSE = 0x89;
  /** {@code n[1]}: an unsigned integer. */
  static final int BININT1 = 'K';
  /** {@code n[2]}: an unsigned integer. */
  static final int BININT2 = 'M';
  /** {@code n[4]}: a signed integer. */
  static final int BININT = 'J';
  /** {@code n[1] b[n]}: a signed integer of n bytes. */
  static final int LONG1 = 0x8A;
  /** {@code x[8]}: a float of 64 bits, its highest byte first; written only. */
  static final int BINFLOAT = 'G';
  /** {@code n[1] utf8[n]}: a string. */
  static final int SHORT_BINUNICODE = 0x8C;
  /** {@code n[4] utf8[n]}: a string. */
  static final int BINUNICODE = 'X';

  /** The empty tuple. */
  static final int EMPTY_TUPLE = ')';
  /** A tuple of one value. */
  static final int TUPLE1 = 0x85;
  /** A tuple of two values. */
  static final int TUPLE2 = 0x86;
  /** A tuple of three values. */
  static final int TUPLE3 = 0x87;
  /** A tuple of the values after the mark. */
  static final int TUPLE = 't';
  /** An empty list; written only. */
  static final int EMPTY_LIST = ']';
  /** {@code list mark value ...}: adds values; written only. */
  static final int APPENDS = 'e';
  /** An empty dict. */
  static final int EMPTY_DICT = '}';
  /** {@code dict key value}: adds an entry. */
  static final int SETITEM = 's';
  /** {@code dict mark key value ...}: adds entries. */
  static final int SETITEMS = 'u';

  /** {@code n[1]}: notes the top of the stack as number n. */
  static final int BINPUT = 'q';
  /** {@code n[4]}: notes the top of the stack as number n. */
  static final int LONG_BINPUT = 'r';
  /** Notes the top of the stack as the next number. */
  static final int MEMOIZE = 0x94;
  /** {@code n[1]}: what was noted. */
  static final int BINGET = 'h';
  /** {@code n[4]}: what was noted. */
  static final int LONG_BINGET = 'j';

  /** {@code module\n name\n}: a global. */
  static final int GLOBAL = 'c';
  /** {@code module name}: a global. */
  static final int STACK_GLOBAL = 0x93;
  /** {@code callable tuple}: what the callable makes of them. */
  static final int REDUCE = 'R';
  /** {@code object state}: gives an object its attributes. */
  static final int BUILD = 'b';
  /** {@code tuple}: what the tuple names outside the pickle, a storage. */
  static final int BINPERSID = 'Q';

  private PickleCode() {}
}
