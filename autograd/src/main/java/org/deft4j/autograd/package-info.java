/** Reverse-mode differentiation of what runs in tensor. */
package org.deft4j.autograd;
