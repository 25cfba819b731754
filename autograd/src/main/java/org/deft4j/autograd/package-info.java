/** Reverse-mode differentiation of what runs in tensor: the tape, the rules, checkpoint and the gradient check. */
package org.deft4j.autograd;
